import json
from pathlib import Path

import pytest
import torch
from tiny_datasets import make_davis, make_voc

from dextr_vos.config import load_settings
from dextr_vos.errors import ConfigError, WeightsError
from dextr_vos.networks.lite import LitePropagation
from dextr_vos.networks.lite_dextr import LiteDextr
from dextr_vos.networks.weights import read_metadata, read_state_dict, save
from dextr_vos.propagation.tiers import LITE, build_network
from dextr_vos.training.parent import ParentSettings, ParentTask, train_parent

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")

CPU = torch.device("cpu")


def settings_for(root: Path, out: Path, **changes: object) -> ParentSettings:
    values: dict[str, object] = {
        "out": str(out),
        "rate": 0.005,
        "data": [{"kind": "voc", "root": str(root)}],
        "validation": [{"kind": "voc", "root": str(root), "split": "val"}],
        "scene": {"size_hw": (48, 64)},
        "loop": {"steps": 30, "batch": 4, "workers": 0, "log_every": 5, "validate_every": 30},
    }
    return ParentSettings.model_validate(values | changes)


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_a_lite_parent_learns_and_starts_fine_tuning(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "voc")
    outcome = train_parent(settings_for(root, tmp_path / "out"), device=CPU)
    assert outcome.steps == 30
    curve = losses(tmp_path / "out")
    assert curve[-1] < 0.8 * curve[0]
    assert 0 < outcome.scores["iou"] <= 1
    weights = tmp_path / "out" / "last.safetensors"
    assert read_metadata(weights)["network"] == "lite-parent"
    network = build_network(LITE, 3, 0, weights)
    trained = read_state_dict(weights)["fuse.weight"]
    assert all(torch.equal(row, trained[0]) for row in network.state_dict()["fuse.weight"])


def test_lite_starts_from_lite_dextr(tmp_path: Path) -> None:
    state = LiteDextr().state_dict()
    save(tmp_path / "dextr.safetensors", state)
    root = make_voc(tmp_path / "voc")
    task = ParentTask(settings_for(root, tmp_path / "out", start=str(tmp_path / "dextr.safetensors")))
    own = task.network.state_dict()
    key = "decoder.merge.0.0.0.weight"
    assert torch.equal(own[key], state[key])
    assert torch.equal(own["encoder.stem.0.0.weight"], state["encoder.stem.0.0.weight"][:, :3])
    save(tmp_path / "other.safetensors", {"a": torch.ones(1)})
    with pytest.raises(WeightsError, match="does not fit the network LitePropagation"):
        ParentTask(settings_for(root, tmp_path / "out", start=str(tmp_path / "other.safetensors")))


def test_norms_learn_their_statistics(tmp_path: Path) -> None:
    save(tmp_path / "parent.safetensors", LitePropagation().state_dict())
    settings = settings_for(
        make_voc(tmp_path / "voc"), tmp_path / "o", start=str(tmp_path / "parent.safetensors")
    )
    task = ParentTask(settings)
    task.network.train()
    assert all(m.training for m in task.network.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_side_losses_fade(tmp_path: Path) -> None:
    task = ParentTask(settings_for(make_voc(tmp_path / "voc"), tmp_path / "out", side_weight=1.0))
    sample = task.samples[0]
    batch = {key: torch.stack([tensor, tensor]) for key, tensor in sample.items()}
    task.network.eval()
    with torch.no_grad():
        first, half, last = (float(task.loss(task.network, batch, done)) for done in (0.0, 0.5, 1.0))
    assert first > half > last
    assert half == pytest.approx((first + last) / 2, rel=1e-4)


@pytest.mark.slow
def test_the_parent_of_the_paper_trains_on_davis(tmp_path: Path) -> None:
    root = make_davis(tmp_path / "davis", ["a", "b"], 3, year=2016, split="train")
    settings = settings_for(
        root,
        tmp_path / "out",
        network="osvos",
        loss="balanced",
        side_weight=1.0,
        rate=1e-8,
        data=[{"kind": "davis", "root": str(root), "year": 2016}],
        validation=[],
        scene=None,
        augmentation={"rotation_deg": 30.0},
        loop={"steps": 2, "batch": 1, "passes": 2, "workers": 0, "log_every": 1, "decay": "constant"},
    )
    outcome = train_parent(settings, device=CPU)
    assert outcome.steps == 2
    assert len(losses(tmp_path / "out")) == 2
    assert "stages.0.0.weight" in read_state_dict(tmp_path / "out" / "last.safetensors")


def test_whole_pictures_come_one_by_one(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, tmp_path / "out", scene=None)
    with pytest.raises(ConfigError, match=r"set loop\.batch=1"):
        train_parent(settings, device=CPU)


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*-parent.yaml")), ids=lambda path: path.stem)
def test_shipped_settings_are_whole(path: Path) -> None:
    assert load_settings(ParentSettings, path, ["data_root=/data"]).loop.steps > 0
    assert f"--config {path} " in path.read_text().splitlines()[0]
