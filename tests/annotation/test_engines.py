import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask

from dextr_vos.annotation.segmenter import label_frame, make_segmenter
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.geometry import extreme_points
from dextr_vos.networks.checkpoints import save
from dextr_vos.networks.dextr import Dextr
from dextr_vos.networks.lite_dextr import LiteDextr


@pytest.mark.parametrize(
    ("asked", "name", "least_iou"),
    # an object of 18 pixels is not what the lite network was made for
    [(None, "lite", 0.7), ("lite", "lite", 0.7), ("grabcut", "grabcut", 0.9)],
)
def test_engines_that_need_nothing(asked: str | None, name: str, least_iou: float) -> None:
    segmenter = make_segmenter(asked)
    assert segmenter.name == name
    truth = tiny_mask(2) == 1
    labels = label_frame(segmenter, tiny_frame(2), {4: extreme_points(truth)})
    assert set(np.unique(labels)) == {0, 4}
    found = labels == 4
    assert (found & truth).sum() / (found | truth).sum() > least_iou


def test_no_objects_give_an_empty_mask() -> None:
    assert not label_frame(make_segmenter("grabcut"), tiny_frame(0), {}).any()


def test_lite_weights_say_what_their_network_sees(tmp_path: Path) -> None:
    state = LiteDextr().state_dict()
    crop = {"size_px": 64, "relax_px": 2, "cubic": False}
    save(tmp_path / "own.safetensors", state, {"crop": json.dumps(crop), "threshold": "0.4"})
    segmenter = make_segmenter(weights=tmp_path / "own.safetensors", device="cpu")
    assert (segmenter.name, segmenter.threshold) == ("lite", 0.4)
    (prob,) = segmenter.segment(tiny_frame(0), [extreme_points(tiny_mask(0) == 1)])
    assert prob.shape == (48, 64)
    save(tmp_path / "mute.safetensors", state)
    with pytest.raises(WeightsError, match="does not say what its network looks at"):
        make_segmenter(weights=tmp_path / "mute.safetensors")
    save(tmp_path / "odd.safetensors", state, {"crop": '{"size": 64}'})
    with pytest.raises(WeightsError, match="settings beside its weights that cannot be read"):
        make_segmenter(weights=tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError, match="is of the lite DEXTR, the engine asked for is dextr"):
        make_segmenter("dextr", tmp_path / "own.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("head", ["psp", "atrous"])
@pytest.mark.parametrize("kind", ["published", "safetensors"])
def test_dextr_checkpoints_say_their_head(tmp_path: Path, head: str, kind: str) -> None:
    state = Dextr(head=head).state_dict()
    path = tmp_path / f"w.{'pth' if kind == 'published' else kind}"
    if kind == "published":
        old = {f"module.{key}": value for key, value in state.items() if "num_batches" not in key}
        torch.save(old, path, _use_new_zipfile_serialization=False)
    else:
        save(path, state)
    segmenter = make_segmenter(weights=path, device="cpu")
    assert segmenter.name == "dextr"
    points = extreme_points(tiny_mask(0) == 1)
    (prob,) = segmenter.segment(tiny_frame(0), [points])
    assert prob.shape == (48, 64)


def test_faults(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown engine 'sam'"):
        make_segmenter("sam")
    with pytest.raises(InputError, match="needs --weights"):
        make_segmenter("dextr")
    with pytest.raises(InputError, match="takes no --weights"):
        make_segmenter("grabcut", tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"no weights|does not exist|there (is|are) no"):
        make_segmenter(weights=tmp_path / "w.pth")
    save(tmp_path / "other.safetensors", {"layer.weight": torch.ones(2)})
    with pytest.raises(WeightsError, match="is no DEXTR checkpoint"):
        make_segmenter(weights=tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="is not of the lite DEXTR, the engine asked for is lite"):
        make_segmenter("lite", tmp_path / "other.safetensors")
