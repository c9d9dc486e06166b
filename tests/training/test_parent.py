import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_datasets import make_davis, make_voc
from torch import Tensor, nn

from dextr_vos.config import load_settings
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.registry import holdout_part, is_held_out
from dextr_vos.errors import ConfigError, InputError, WeightsError
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import read_state_dict, save
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.propagation.models import LITE
from dextr_vos.training import parent
from dextr_vos.training.parent import ParentSettings, train_parent
from dextr_vos.training.task import Task

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

CPU = torch.device("cpu")
LITE_CHANGES: dict[str, object] = {}
PAPER = {"model": "paper", "loop": {"steps": 2, "batch": 1, "workers": 0}}
SHORT = {
    "steps": 25,
    "batch": 2,
    "workers": 0,
    "log_every": 5,
    "validate_every": 25,
    "clip_norm": 1.0,
    "warmup": 2,
}
MODELS = [pytest.param(LITE_CHANGES, id="lite"), pytest.param(PAPER, id="paper")]


def settings_for(root: Path, out: Path, **changes: object) -> ParentSettings:
    values: dict[str, object] = {
        "out": str(out),
        "rate": 0.005,
        "data": [{"kind": "voc", "root": str(root)}],
        "validation": [{"kind": "voc", "root": str(root), "split": "val"}],
        "validation_samples": 4,
        "sizes_hw": [(48, 64)],
        "loop": SHORT,
    }
    if changes.get("model") == "paper":
        values.pop("sizes_hw", None)
    return ParentSettings.model_validate(values | changes)


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


class Squares:
    """Green squares on grey, one an image, with a white void line; knows which of them were read."""

    def __init__(self, count: int = 12) -> None:
        self.refs = [ObjectRef(f"image {index}", 0, "square", 400) for index in range(count)]
        self.read_images: set[str] = set()

    def read(self, index: int) -> Example:
        self.read_images.add(self.refs[index].image)
        image = np.full((48, 64, 3), 90, np.uint8)
        mask, void = np.zeros((48, 64), bool), np.zeros((48, 64), bool)
        mask[10:30, 20:40], void[40:44] = True, True
        image[mask], image[void] = (0, 220, 0), 255
        return Example(self.refs[index], image, mask, void)


class Knows(nn.Module):
    """OSVOS that says what a function of its frames says; its only side score says the contrary."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer, self.weight = answer, nn.Parameter(torch.zeros(1))

    def forward(self, frames: Tensor) -> list[Tensor]:
        said = self.answer(frames)
        return [-said, said]


class Tracks(nn.Module):
    """A tracker that finds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, frames: Tensor, *_: object) -> list[tuple[Tensor, Tensor]]:
        return [(frames[:, 1, :1] * 0 - 1, torch.zeros(len(frames)))]


def network_of(changes: dict[str, object]) -> nn.Module:
    return Knows(lambda frames: frames[:, :1]) if changes else Tracks()


def task_on(objects: Squares, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Task:
    """A task that learns from and validates on parts of these objects."""
    monkeypatch.setattr(parent, "open_objects", lambda *_: objects)
    settings = settings_for(Path("nowhere"), Path("nowhere"), **({"validation": []} | changes))
    return parent._task(settings, Path())


def test_a_lite_parent_learns_and_starts_fine_tuning(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc")
    settings = settings_for(root, tmp_path / "out", rate=0.004, sequence={"correct": 1.0, "length": 2})
    outcome = train_parent(settings, device=CPU)
    assert outcome.steps == 25
    curve = losses(tmp_path / "out")
    assert curve[-1] < 0.8 * curve[0]
    assert 0 < outcome.scores["iou"] <= 1
    weights = tmp_path / "out" / "last.safetensors"
    assert read_metadata(weights)["network"] == "lite-parent"
    network = LITE.start(3, 0, weights)
    trained = read_state_dict(weights)
    assert all(torch.equal(tensor, trained[key]) for key, tensor in network.state_dict().items())


def test_a_parent_of_another_network_is_refused(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc")
    save(tmp_path / "other.safetensors", {"a": torch.ones(1)})
    with pytest.raises(WeightsError, match="does not fit the network LiteTracker"):
        parent._task(settings_for(root, tmp_path / "out", start=str(tmp_path / "other.safetensors")), Path())


def test_only_a_trained_parent_is_interpolated_with(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected start, a trained parent, where alpha is below 1"):
        settings_for(tmp_path, tmp_path / "out", alpha=0.5)
    start = tmp_path / "clicks.safetensors"
    save(start, LiteClicks().state_dict())
    settings = settings_for(make_voc(tmp_path / "voc"), tmp_path / "out", start=str(start), alpha=0.5)
    with pytest.raises(InputError, match="expected start to be a trained parent"):
        train_parent(settings, device=CPU)


def test_a_lite_parent_starts_from_a_network_for_clicks(tmp_path: Path) -> None:
    clicks = LiteClicks().state_dict()
    save(tmp_path / "clicks.safetensors", clicks)
    settings = settings_for(
        make_voc(tmp_path / "voc"), tmp_path / "o", start=str(tmp_path / "clicks.safetensors")
    )
    network = parent._task(settings, Path()).network
    assert isinstance(network, LiteTracker)
    assert torch.equal(network.state_dict()["encoder.patches.0.weight"], clicks["encoder.patches.0.weight"])


def test_the_encoder_has_a_rate_of_its_own(tmp_path: Path) -> None:
    settings = settings_for(make_voc(tmp_path / "voc"), tmp_path / "o", rate=0.01, encoder_rate=0.25)
    task = parent._task(settings, Path())
    rates = {id(each): group["lr"] for group in task.optimizer.param_groups for each in group["params"]}
    for name, parameter in task.network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.0025 if name.startswith("encoder.") else 0.01)


def test_a_lite_parent_learns_from_clips_and_is_validated_on_others(tmp_path: Path) -> None:
    root = make_davis(tmp_path / "davis", ["a", "b"], 9, split="train")
    clips = {"kind": "davis", "root": str(root)}
    settings = settings_for(
        root,
        tmp_path / "out",
        data=[],
        validation=[],
        clips=[clips | {"clips": ["a"]}],
        validation_clips=[clips | {"clips": ["b"]}],
        sequence={"length": 2, "margin": [1.5, 2.0]},
        loop={"steps": 2, "batch": 2, "workers": 0, "log_every": 1, "validate_every": 2},
    )
    task = parent._task(settings, Path())
    assert task.samples[0]["frames"].shape == (3, 48, 64, 3)
    outcome = train_parent(settings, device=CPU)
    assert set(outcome.scores) == {"iou", "quality"}
    assert np.isfinite(losses(tmp_path / "out")).all()


def batch_of(task: Task) -> dict[str, Tensor]:
    """The first sample twice, with void at the bottom."""
    batch = {key: torch.stack([tensor, tensor]) for key, tensor in task.samples[0].items()}
    batch["void"][:, :, -8:] = True
    batch["target"] &= ~batch["void"]
    return batch


def test_a_loss_falls_with_every_right_pixel_and_void_counts_neither_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = task_on(Squares(), monkeypatch, side_weight=0.0, **PAPER)
    batch = batch_of(task)
    right = 8.0 * batch["target"] - 4

    def loss(logits: Tensor) -> float:
        return float(task.loss(Knows(lambda _: logits), batch, 0.0))

    assert loss(right) < 0.5 * loss(0 * right) < 0.5 * loss(-right)
    assert loss(torch.where(batch["void"], -9 * right, right)) == loss(right)


def test_side_losses_fade(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_on(Squares(), monkeypatch, side_weight=0.5, **PAPER)
    batch = batch_of(task)
    right = 8.0 * batch["target"] - 4
    first, half, right_alone = (
        float(task.loss(Knows(lambda _: right), batch, done)) for done in (0.0, 0.5, 1.0)
    )
    wrong_alone = float(task.loss(Knows(lambda _: -right), batch, 1.0))
    assert first == pytest.approx(right_alone + 0.5 * wrong_alone, rel=1e-5)
    assert half == pytest.approx((first + right_alone) / 2, rel=1e-5)


@pytest.mark.parametrize("changes", MODELS)
def test_held_out_images_are_validated_on_and_never_trained_on(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = Squares(16)
    task = task_on(objects, monkeypatch, hold_out=0.4, validation_samples=12, **changes)
    names = {ref.image for ref in objects.refs}
    held = {name for name in names if is_held_out(name, 0.4)}
    assert held
    assert held != names
    for position in range(30):
        task.samples[position]
    assert objects.read_images == names - held
    objects.read_images.clear()
    task.validate(network_of(changes))
    assert objects.read_images
    assert objects.read_images <= held


@pytest.mark.parametrize("changes", MODELS)
def test_with_nothing_held_out_there_is_no_score(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_on(Squares(), monkeypatch, **changes)
    assert task.validate(network_of(changes)) == {}


def test_osvos_is_validated_on_whole_images_without_their_void(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_on(Squares(), monkeypatch, hold_out=0.5, **PAPER)
    # frames are BGR about zero; the void line is white
    green = task.validate(Knows(lambda frames: frames[:, 1:2] - 50))
    everything = task.validate(Knows(lambda frames: frames[:, :1] * 0 + 1))
    assert green == {"iou": 1.0}
    assert everything["iou"] == pytest.approx(400 / (48 * 64 - 4 * 64))


def test_validation_takes_at_most_validation_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    task = task_on(Squares(), monkeypatch, hold_out=0.5, validation_samples=3, **PAPER)
    task.validate(Knows(lambda frames: seen.append(frames.shape) or frames[:, :1]))
    assert seen == [(1, 3, 48, 64)] * 3


def test_held_out_images_do_not_come_back_where_clips_are_validated_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, clip = Squares(16), Squares(9)
    clip.refs = [replace(ref, image=f"clip/{ref.image}") for ref in clip.refs]
    monkeypatch.setattr(parent, "open_objects", lambda data, *_: clip if data.kind == "davis" else images)
    settings = settings_for(
        Path("nowhere"),
        Path("nowhere"),
        validation=[],
        hold_out=0.4,
        rendered=1.0,
        validation_clips=[{"kind": "davis"}],
    )
    task = parent._task(settings, Path())
    task.samples[0]
    assert images.read_images
    assert not clip.read_images
    images.read_images.clear()
    task.validate(Tracks())
    assert clip.read_images
    assert not images.read_images


def test_every_object_is_either_kept_for_validation_or_trained_on() -> None:
    objects = Squares(200)
    kept, others = (holdout_part(objects, 0.3, kept=kept) for kept in (True, False))
    assert 30 < len(kept.refs) < 90
    assert sorted([*kept.refs, *others.refs], key=objects.refs.index) == objects.refs
    assert all(is_held_out(ref.image, 0.3) for ref in kept.refs)
    assert others.read(5).ref == others.refs[5]
    assert not holdout_part(objects, 0.0, kept=True).refs


@pytest.mark.parametrize("changes", MODELS)
def test_sets_in_which_everything_is_held_out_are_refused(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no object to train on"):
        task_on(Squares(1), monkeypatch, hold_out=0.999, **changes)


def test_the_parent_of_the_paper_trains_on_davis(tmp_path: Path) -> None:
    root = make_davis(tmp_path / "davis", ["a", "b"], 3, year=2016, split="train")
    settings = settings_for(
        root,
        tmp_path / "out",
        model="paper",
        side_weight=1.0,
        rate=1e-8,
        data=[{"kind": "davis", "root": str(root), "year": 2016}],
        validation=[],
        augmentation={"rotation_deg": 30.0},
        loop={
            "steps": 2,
            "batch": 1,
            "accumulate_grad": 2,
            "workers": 0,
            "log_every": 1,
            "decay": "constant",
        },
    )
    outcome = train_parent(settings, device=CPU)
    assert outcome.steps == 2
    assert len(losses(tmp_path / "out")) == 2
    weights = tmp_path / "out" / "last.safetensors"
    assert read_metadata(weights)["network"] == "osvos-parent"
    assert "stages.0.0.weight" in read_state_dict(weights)


LITE_YAML = "out: o\ndata: [{kind: voc}]\nloop: {steps: 1, batch: 4}\n"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=paper", "loop.batch=1", "scene={}"], "with model=lite alone"),
        (["model=paper", "loop.batch=1", "mask_corruption={}"], "mask_corruption with model=lite alone"),
        (["model=paper", "loop.batch=1", "rendered=0.5"], "rendered with model=lite alone"),
        (["side_weight=0.1"], "side_weight with model=paper alone"),
        (["sizes_hw=[[0, 336]]"], "from 16 up"),
        (["model=paper"], r"whole images differ in size: set loop\.batch=1"),
        (["augmentation={}"], "augmentation with model=paper alone"),
        (["data=[]"], "expected data, clips or both, got neither"),
        (["model=paper", "loop.batch=1", "data=[]"], "expected data, at least one"),
        (["model=paper", "loop.batch=1", "clips=[{kind: davis}]"], "with model=lite alone"),
        (["model=paper", "loop.batch=1", "sequence={}"], "with model=lite alone"),
        (["sizes_hw=[[224, 330]]"], "expected sizes_hw to be multiples of 16"),
        (["sizes_hw=[]"], "sizes_hw"),
        (["rendered=2"], "rendered"),
        (["encoder_rate=0"], "encoder_rate"),
        (["sequence={frames: 3}"], r"sequence\.frames"),
        (["hold_out=1"], "below 1"),
        (["validation_samples=0"], "of at least 1"),
        (["loss=balanced"], "loss=balanced: unknown setting"),
        (["scene={zoom: 1}"], r"scene\.zoom"),
        (["mask_corruption={absent: much}"], r"mask_corruption\.absent: expected a number"),
    ],
)
def test_settings_that_contradict_are_refused(tmp_path: Path, overrides: list[str], words: str) -> None:
    path = tmp_path / "parent.yaml"
    path.write_text(LITE_YAML)
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(ParentSettings, path, overrides)
    assert "\n" not in str(caught.value)


def test_settings_of_both_networks_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "parent.yaml"
    path.write_text(LITE_YAML)
    chosen = ["scene={own: 0.9}", "mask_corruption={absent: 0.5}", "sequence={length: 5, margin: [1, 2]}"]
    lite = load_settings(ParentSettings, path, [*chosen, "sizes_hw=[[32, 48]]", "clips=[{kind: davis}]"])
    assert lite.scene.own == 0.9
    assert lite.mask_corruption.absent == 0.5
    assert (lite.sequence.length, lite.sequence.margin) == (5, (1, 2))
    assert lite.sizes_hw == ((32, 48),)
    assert load_settings(ParentSettings, path, ["data=[]", "clips=[{kind: davis}]"]).data == ()
    paper = load_settings(ParentSettings, path, ["model=paper", "loop.batch=1", "augmentation={}"])
    assert paper.augmentation is not None


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*-parent.yaml")), ids=lambda path: path.stem)
def test_shipped_settings_are_whole(path: Path) -> None:
    assert load_settings(ParentSettings, path, ["data_root=/data"]).loop.steps > 0
    assert f"--config {path} " in path.read_text().splitlines()[0]
