"""Training the lite network for clicks on a small set in the layout of VOC."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_datasets import make_voc

from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.errors import WeightsError
from dextr_vos.geometry import extreme_points
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import read_state_dict, save
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.prompt_decoder import NEGATIVE, PADDING, POSITIVE, Prompts
from dextr_vos.training.dextr import train_dextr
from dextr_vos.training.dextr_settings import DextrSettings, open_data
from dextr_vos.training.prompt_task import PromptTask, _Corrections, lite_network

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")


def settings_for(root: Path, out: Path, **changes) -> DextrSettings:
    return DextrSettings.model_validate(
        {
            "out": out,
            "model": "lite",
            "rate": 3e-4,
            "data_root": root,
            "data": [{"kind": "voc", "root": "VOCdevkit"}],
            "validation": [{"kind": "voc", "root": "VOCdevkit", "split": "val"}],
            "validation_objects": 2,
            "crop": {"size_px": 64, "relax_px": 4, "relax_share": 0.15, "cubic": False},
            "jitter": 0.05,
            "mixture": {"mask": 0.3, "box": 0.1, "clicks": 0.1},
            "rounds": 1,
            "loop": {"steps": 4, "batch": 4, "workers": 0, "log_every": 1, "validate_every": 4},
        }
        | changes
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    make_voc(root, 6, 2)
    return root


def test_it_learns_and_its_weights_make_a_segmenter_that_corrects(root, tmp_path):
    settings = settings_for(root, tmp_path / "out")
    outcome = train_dextr(settings, device=CPU)
    losses = [json.loads(line).get("loss") for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(loss) for loss in losses if loss is not None)
    assert set(outcome.scores) == {"iou", "corrected"}
    weights = tmp_path / "out" / "last.safetensors"
    assert read_metadata(weights)["network"] == "lite-clicks"
    segmenter = load_segmenter(weights, device="cpu")
    assert (segmenter.name, segmenter.corrects) == ("lite", True)
    example = open_data(settings, Path()).validation.read(0)
    mask = segmenter.segment(example.image_rgb, extreme_points(example.mask))
    assert mask.shape == example.mask.shape


def test_every_parameter_that_can_learns(root, tmp_path):
    settings = settings_for(root, tmp_path, mixture={"mask": 1.0, "box": 0.0, "clicks": 0.0})
    network = lite_network(settings)
    # what begins at zero lets nothing through before its first step
    for part in (network.decoder.add_eighth, network.decoder.add_quarter, network.decoder.detail[-1]):
        torch.nn.init.normal_(part.weight, std=0.1)
    task = PromptTask(settings, network, open_data(settings, Path()))
    batch = {key: torch.stack([task.samples[0][key], task.samples[1][key]]) for key in task.samples[0]}
    task.loss(network.train(), batch, 0.0).backward()
    still = {name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()}
    assert not {name for name in still if not name.startswith("decoder.prompts")}


def test_corrections_are_put_where_a_mask_is_wrong():
    truth = torch.zeros(3, 1, 64, 64, dtype=torch.bool)
    truth[0, :, :, :32] = True
    truth[1, :, 20:40, 40:60] = True
    truth[2] = truth[0]
    batch = {"target": truth, "void": torch.zeros_like(truth), "seed": torch.tensor([1, 2, 3])}
    logits = torch.full((3, 1, 32, 32), -9.0)
    logits[:2, :, :, :16] = 9.0
    known = Prompts(
        torch.zeros(3, 1, 2), torch.full((3, 1), PADDING), torch.zeros(3, 1, 16, 16), torch.zeros(3).bool()
    )
    corrections = _Corrections(batch, known)
    after = corrections(logits, known)
    assert corrections.known == [known, after]
    # the first mask is right, the second spills to the left, the third misses everything
    assert after.kinds[:, 1].tolist() == [PADDING, NEGATIVE, POSITIVE]
    assert (after.points_xy[1:, 1, 0] < 0.5).all()
    assert after.has_mask.all()
    assert after.mask[1, 0, :, :8].min() > 0.99
    assert after.mask[2].max() < 0.01


def test_the_same_seed_gives_the_same_weights(root, tmp_path):
    short = {"loop": {"steps": 2, "batch": 2, "workers": 0, "validate_every": 2}, "validation": []}
    for name in ("one", "two"):
        train_dextr(settings_for(root, tmp_path / name, **short), device=CPU)
    first, second = (read_state_dict(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_it_starts_from_its_own_weights_or_mobile_sams_alone(root, tmp_path):
    own = LiteClicks()
    save(tmp_path / "own.safetensors", own.state_dict())
    started = lite_network(settings_for(root, tmp_path, start=tmp_path / "own.safetensors"))
    assert all(torch.equal(one, two) for one, two in zip(own.parameters(), started.parameters(), strict=True))
    save(tmp_path / "other.safetensors", {"layer.weight": torch.ones(2)})
    with pytest.raises(WeightsError, match="expected a checkpoint of MobileSAM"):
        lite_network(settings_for(root, tmp_path, start=tmp_path / "other.safetensors"))
