"""Training DEXTR on small sets in the layouts of the real ones; the paper model with a shallow backbone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_datasets import make_coco, make_sbd, make_voc
from tiny_run import Squares, stop_after

from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.config import load_settings
from dextr_vos.datasets.instances import Concat
from dextr_vos.datasets.registry import fold_of
from dextr_vos.errors import ConfigError, InputError, Interrupted, WeightsError
from dextr_vos.evaluation.next_click import outline
from dextr_vos.geometry import extreme_points
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import read_state_dict, save
from dextr_vos.networks.dextr import Dextr
from dextr_vos.training import dextr, hard_examples
from dextr_vos.training.dextr import train_dextr
from dextr_vos.training.dextr_settings import DextrSettings, open_data, sample_order, training_steps
from dextr_vos.training.hard_examples import with_hard_examples

CONFIGS = Path(__file__).parents[2] / "configs"
CPU = torch.device("cpu")
SHALLOW = ["blocks=[1,1,1,1]", "crop.size_px=64", "crop.relax_px=10", "loop.batch=2", "loop.workers=0"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def data_root(tmp_path_factory) -> Path:
    """All data sets the configurations name, small."""
    root = tmp_path_factory.mktemp("data")
    make_voc(root, 6, 2)
    make_sbd(root)
    make_coco(root / "coco", "train2014")
    return root


def loaded(name: str, data_root: Path, out: Path, *overrides: str) -> DextrSettings:
    given = [f"data_root={data_root}", f"out={out}", *SHALLOW, *overrides]
    return load_settings(DextrSettings, CONFIGS / "dextr" / f"{name}.yaml", given)


def steps(count: int) -> tuple[str, ...]:
    return "epochs=null", f"loop.steps={count}"


def log_of(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("narrow_dextr")
def test_the_paper_model_learns_and_its_checkpoint_makes_a_segmenter(
    data_root: Path, tmp_path: Path, caplog
) -> None:
    caplog.set_level("INFO")
    settings = loaded(
        "extreme-points", data_root, tmp_path / "out", *steps(24), "rate=2e-6", "loop.batch=4",
        "loop.log_every=4", "loop.validate_every=12", "threshold=0.5",
    )  # fmt: skip
    task = dextr.DextrTask(settings, dextr._paper_network(settings), open_data(settings, Path()))
    untrained = task.validate(task.network)["iou"]
    outcome = train_dextr(settings, device=CPU)
    losses = [line["loss"] for line in log_of(tmp_path / "out") if "loss" in line]
    assert len(losses) == 6
    assert losses[-1] < 0.7 * losses[0]
    assert outcome.scores["iou"] > untrained + 0.1
    assert "voc train: 12 objects to train on" in caplog.text
    assert "validation on 4 of 4 objects: voc val" in caplog.text
    assert f"step 24 of 24: iou {outcome.scores['iou']:.3f}" in caplog.text
    path = tmp_path / "out" / "last.safetensors"
    metadata = read_metadata(path)
    assert {key: metadata[key] for key in ("network", "head", "blocks", "threshold")} == {
        "network": "dextr", "head": "psp", "blocks": "[1, 1, 1, 1]", "threshold": "0.5",
    }  # fmt: skip
    assert json.loads(metadata["crop"])["size_px"] == 64
    segmenter = load_segmenter("paper", path, "cpu")
    example = open_data(settings, Path()).validation.read(0)
    (prob,) = segmenter.probabilities(example.image_rgb, [extreme_points(example.mask)])
    assert prob.shape == example.mask.shape
    assert segmenter.threshold == 0.5


def names() -> list[str]:
    return sorted(path.stem for path in (CONFIGS / "dextr").glob("*.yaml"))


@pytest.mark.usefixtures("narrow_dextr")
@pytest.mark.parametrize("name", [name for name in names() if name != "hard-fifth-click"])
def test_every_row_of_the_ablation_runs(data_root: Path, tmp_path: Path, name: str) -> None:
    settings = loaded(name, data_root, tmp_path / "out", *steps(2))
    outcome = train_dextr(settings, device=CPU)
    assert outcome.steps == 2
    assert np.isfinite(outcome.loss)
    assert 0 <= outcome.scores["iou"] <= 1
    segmenter = load_segmenter("paper", tmp_path / "out" / "last.safetensors", "cpu")
    assert segmenter.threshold == 0.8
    example = open_data(settings, Path()).validation.read(1)
    (prob,) = segmenter.probabilities(example.image_rgb, [extreme_points(example.mask)])
    assert prob.shape == example.mask.shape


@pytest.mark.usefixtures("narrow_dextr")
def test_the_fifth_click_is_learned_in_three_trainings(data_root: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    for fold in (0, 1):
        settings = loaded(f"hard-fold{fold}", data_root, tmp_path / f"fold{fold}", *steps(2))
        data = open_data(settings, Path())
        assert {fold_of(ref.image) for part in data.sets for ref in part.refs} == {fold}
        train_dextr(settings, device=CPU)
        assert read_metadata(tmp_path / f"fold{fold}" / "last.safetensors")["fold"] == str(fold)
    first, second = (tmp_path / f"fold{fold}" / "last.safetensors" for fold in (0, 1))
    chained = [f"start={first}", f"hard.first={first}", f"hard.second={second}", *steps(2)]
    settings = loaded("hard-fifth-click", data_root, tmp_path / "out", *chained)
    with pytest.raises(Interrupted, match="looking for hard examples in 3 of 12 objects"):
        train_dextr(settings, device=CPU, stop_asked=stop_after(2))
    reports: list[int] = []
    outcome = train_dextr(settings, device=CPU, on_object=lambda done, total: reports.append(done))
    assert reports[0] == 4
    assert outcome.steps == 2
    assert 0 <= outcome.scores["iou"] <= 1
    found = json.loads((tmp_path / "out" / "hard_examples.json").read_text())
    assert len(found["objects"]) == 12
    assert "hard_validation.json: " in caplog.text
    load_segmenter("paper", tmp_path / "out" / "last.safetensors", "cpu")
    swapped = [f"start={first}", f"hard.first={second}", f"hard.second={first}", *steps(2)]
    with pytest.raises(ConfigError, match=r"hard.\w+ to have been trained on fold"):
        train_dextr(loaded("hard-fifth-click", data_root, tmp_path / "swapped", *swapped), device=CPU)
    missing = [*chained, "hard.second=none.safetensors"]
    with pytest.raises(WeightsError, match=r"there is no checkpoint none\.safetensors"):
        train_dextr(loaded("hard-fifth-click", data_root, tmp_path / "swapped", *missing), device=CPU)
    assert not (tmp_path / "swapped").exists()


def test_hard_examples_of_several_sets_keep_their_clicks(
    data_root: Path, tmp_path: Path, monkeypatch
) -> None:
    """With a segmenter that fills boxes in place of the two networks."""
    asked: list[str] = []

    class NamedSquares(Squares):
        def __init__(self, weights: Path, device: str) -> None:
            self.weights = weights.name

        def probabilities(self, image_rgb, objects_xy):
            asked.append(self.weights)
            return super().probabilities(image_rgb, objects_xy)

    monkeypatch.setattr(hard_examples, "load_segmenter", NamedSquares)
    sets = "data=[{kind: voc, root: VOCdevkit}, {kind: coco, root: coco, split: train2014}]"
    hard = "hard={first: fold0.pth, second: fold1.pth, below: 0.9}"
    settings = loaded("extreme-points", data_root, tmp_path / "out", sets, hard)
    data = open_data(settings, Path())
    assert settings.hard is not None
    mined = with_hard_examples(data, settings.out, settings.hard, CPU)
    refs = [ref for part in data.sets for ref in part.refs]
    expected = ["fold1.pth" if fold_of(ref.image) == 0 else "fold0.pth" for ref in refs]
    assert asked == expected + ["fold0.pth"] * 4  # and the validation
    assert 0 < len(mined.sets[0].refs) < 12
    assert 0 < len(mined.sets[1].refs) < 6
    joined = Concat(mined.sets)
    assert sorted(mined.sets_xy) == list(range(len(joined.refs)))
    for objects, clicks in ((joined, mined.sets_xy), (mined.validation, mined.validation_xy)):
        assert sorted(clicks) == list(range(len(objects.refs)))
        for index, ((x, y),) in clicks.items():
            assert outline(objects.read(index).mask)[y, x]
    with pytest.raises(InputError, match=r"none of 18 objects has an IoU below hard.below=0\.1"):
        with_hard_examples(data, tmp_path / "none", settings.hard.model_copy(update={"below": 0.1}), CPU)


def test_a_process_beside_the_main_one_waits_for_its_hard_examples(
    data_root: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(hard_examples, "load_segmenter", lambda weights, device: Squares())
    settings = loaded("extreme-points", data_root, tmp_path, "hard={first: a.pth, second: b.pth}")
    data = open_data(settings, Path())
    assert settings.hard is not None
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(Interrupted, match="while the main process looked"):
        with_hard_examples(data, settings.out, settings.hard, CPU, stop_asked=lambda: True)
    monkeypatch.setenv("RANK", "0")
    first = with_hard_examples(data, settings.out, settings.hard, CPU)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(hard_examples, "load_segmenter", None)
    second = with_hard_examples(data, settings.out, settings.hard, CPU)
    assert [ref.image for ref in first.sets[0].refs] == [ref.image for ref in second.sets[0].refs]
    assert all(np.array_equal(first.sets_xy[index], second.sets_xy[index]) for index in first.sets_xy)


def test_every_yaml_of_the_ablation_says_how_to_run_it_and_what_the_paper_has() -> None:
    assert len(names()) == 13
    for name in names():
        path = CONFIGS / "dextr" / f"{name}.yaml"
        first, second, *_ = path.read_text().splitlines()
        assert first.startswith(f"# dextr-vos train-dextr --config configs/dextr/{name}.yaml data_root=data")
        assert second.startswith("# ")
        settings = load_settings(DextrSettings, path)
        assert settings.out == Path("runs/dextr") / name
        assert f"`{name}`" in (CONFIGS / "README.md").read_text()


def test_the_lite_settings_are_read() -> None:
    settings = load_settings(DextrSettings, CONFIGS / "lite-dextr.yaml")
    assert settings.model == "lite"
    assert settings.copy_paste is not None


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["loss=balanced"], "expected loss with model=paper, got model=lite"),
        (["augmentation={}", "copy_paste=null"], "expected augmentation with model=paper"),
        (["crop.size_px=100"], "expected crops of a multiple of 16 pixels, got 100"),
        (["crop_px=[[0.0, 90]]"], "expected crops of a multiple of 16 pixels, got 90"),
    ],
)
def test_settings_that_are_not_for_the_lite_model_are_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings(DextrSettings, CONFIGS / "lite-dextr.yaml", overrides)


@pytest.mark.parametrize(("epochs", "expected"), [("1", 6), ("2.5", 15), ("0.01", 1)])
def test_epochs_count_objects(data_root: Path, tmp_path: Path, epochs: str, expected: int) -> None:
    settings = loaded("aspp", data_root, tmp_path, f"epochs={epochs}", "loop.accumulate_grad=1")
    data = open_data(settings, Path())
    assert training_steps(settings, sample_order(settings, data)) == expected  # 12 objects, two a step


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["loop.steps=3"], "expected either epochs or loop.steps, got both"),
        (["epochs=null"], "expected either epochs or loop.steps, got neither"),
        (["copy_paste={}"], "expected either copy_paste or augmentation, got both"),
        (["jitter=0.1"], "expected either jitter or jitter_px, got both"),
        (["crop_from_mask=false"], "expected crop_from_mask with jitter_px"),
        (["fold=0", "hard={first: a, second: b}"], "expected either hard or fold, got both"),
        (["augmentation=null", "copy_paste={}", "hard={first: a, second: b}"], "moves no clicks along"),
        (["crop.size_px=16"], "expected crops of at least 32 pixels, got 16"),
        (["blocks=[1,1,0,1]"], "expected at least one block a layer"),
        (["fold=2"], "fold=2: expected 0 or 1, got 2"),
        (["head=aspp"], "head"),
        (["crop.points=corner"], "crop.points"),
    ],
)  # fmt: skip
def test_settings_that_contradict_one_another_are_refused(
    data_root: Path, tmp_path: Path, overrides: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        loaded("extreme-points", data_root, tmp_path, *overrides)


def test_settings_are_checked_without_a_file_too() -> None:
    with pytest.raises(ValidationError, match="neither"):
        DextrSettings.model_validate({"out": "o", "data": [{"kind": "voc"}], "loop": {"batch": 1}})


def test_held_out_images_are_validated_on_and_never_trained_on(
    data_root: Path, tmp_path: Path, caplog
) -> None:
    caplog.set_level("INFO")
    settings = loaded("psp", data_root, tmp_path, "validation=[]", "hold_out=0.4", "validation_objects=3")
    data = open_data(settings, Path())
    trained = {ref.image for part in data.sets for ref in part.refs}
    validated = {ref.image for ref in data.validation.refs}
    assert trained
    assert validated
    assert not trained & validated
    assert len(data.validation.refs) == 3
    count = sum(len(part.refs) for part in data.sets)
    assert f"voc train: {count} objects to train on, {12 - count} held out" in caplog.text
    assert f"validation on 3 of {12 - count} objects: held-out images" in caplog.text


def test_a_start_may_be_a_dextr_or_the_backbone_of_another_network(data_root: Path, tmp_path: Path) -> None:
    from torchvision.models.resnet import Bottleneck, ResNet

    torch.manual_seed(5)
    whole = Dextr("psp", blocks=(1, 1, 1, 1)).state_dict()
    save(tmp_path / "whole.safetensors", whole)
    resnet = ResNet(Bottleneck, [1, 1, 1, 1]).state_dict()
    torch.save(resnet, tmp_path / "resnet.pth")
    torch.save(
        {"Scale." + key: tensor for key, tensor in resnet.items() if "fc" not in key}, tmp_path / "psp.pth"
    )

    def started(name: str, *overrides: str) -> dict[str, torch.Tensor]:
        settings = loaded("psp", data_root, tmp_path, f"start={tmp_path / name}", *overrides)
        return dextr._paper_network(settings).state_dict()

    found = started("whole.safetensors")
    assert all(torch.equal(found[key], tensor) for key, tensor in whole.items())
    found = started("resnet.pth")
    assert torch.equal(found["layer4.0.conv2.weight"], resnet["layer4.0.conv2.weight"])
    assert not torch.equal(found["conv1.weight"][:, :3], resnet["conv1.weight"])  # normalization folded in
    assert torch.equal(started("psp.pth")["conv1.weight"][:, :3], resnet["conv1.weight"])
    with pytest.raises(WeightsError, match=r"resnet\.pth: this is no start of a ResNet-101"):
        started("resnet.pth", "blocks=[1,1,2,1]")
    with pytest.raises(WeightsError, match="has the psp head"):
        started("whole.safetensors", "head=atrous")


def test_imagenet_starts_from_the_weights_of_torchvision(
    data_root: Path, tmp_path: Path, monkeypatch
) -> None:
    from torchvision.models import ResNet101_Weights
    from torchvision.models.resnet import Bottleneck, ResNet

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / ResNet101_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    resnet = ResNet(Bottleneck, [1, 1, 1, 1]).state_dict()
    torch.save(resnet, path)
    network = dextr._paper_network(loaded("psp", data_root, tmp_path, "start=imagenet"))
    assert torch.equal(network.state_dict()["layer4.0.conv2.weight"], resnet["layer4.0.conv2.weight"])
    with pytest.raises(ConfigError, match="start=imagenet with model=paper"):
        load_settings(DextrSettings, CONFIGS / "lite-dextr.yaml", ["start=imagenet"])


def test_nothing_is_written_before_the_data_are_there(tmp_path: Path) -> None:
    settings = loaded("psp", tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(InputError, match="there is no folder"):
        train_dextr(settings, device=CPU)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("narrow_dextr")
def test_weights_of_a_published_layout_stay_readable(data_root: Path, tmp_path: Path) -> None:
    save(tmp_path / "start.safetensors", Dextr("atrous", blocks=(1, 1, 1, 1)).state_dict())
    settings = loaded("crop", data_root, tmp_path, f"start={tmp_path / 'start.safetensors'}")
    network = dextr._paper_network(settings)
    assert read_state_dict(tmp_path / "start.safetensors").keys() == network.state_dict().keys()
