import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import tiny_frame, tiny_mask

from dextr_vos.annotation.prompts import Prompt
from dextr_vos.annotation.segmenter import Segmenter, label_frame, load_segmenter
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.geometry import extreme_points
from dextr_vos.networks.checkpoints import save
from dextr_vos.networks.dextr import Dextr
from dextr_vos.networks.lite_clicks import LiteClicks


@pytest.mark.parametrize(
    ("asked", "name", "least_iou"),
    # an object of 18 pixels is not what the lite network was made for
    [(None, "lite", 0.7), ("lite", "lite", 0.7), ("grabcut", "grabcut", 0.9)],
)
def test_models_that_need_no_weights(asked: str | None, name: str, least_iou: float) -> None:
    segmenter = load_segmenter(asked)
    assert segmenter.name == name
    truth = tiny_mask(2) == 1
    labels = label_frame(segmenter, tiny_frame(2), {4: Prompt(extreme_points(truth))})
    assert set(np.unique(labels)) == {0, 4}
    found = labels == 4
    assert (found & truth).sum() / (found | truth).sum() > least_iou


def test_no_objects_give_an_empty_mask() -> None:
    assert not label_frame(load_segmenter("grabcut"), tiny_frame(0), {}).any()


@pytest.mark.usefixtures("narrow_lite")
def test_lite_weights_record_their_crop_and_threshold(tmp_path: Path) -> None:
    state = LiteClicks().state_dict()
    crop = {"size_px": 64, "relax_px": 2, "cubic": False}
    save(tmp_path / "own.safetensors", state, {"crop": json.dumps(crop), "threshold": "0.4"})
    segmenter = load_segmenter(weights=tmp_path / "own.safetensors", device="cpu")
    assert (segmenter.name, segmenter.threshold) == ("lite", 0.4)
    (prob,) = segmenter.probabilities(tiny_frame(0), [extreme_points(tiny_mask(0) == 1)])
    assert prob.shape == (48, 64)
    save(tmp_path / "mute.safetensors", state)
    with pytest.raises(WeightsError, match="does not say how its network crops an image"):
        load_segmenter(weights=tmp_path / "mute.safetensors")
    crops = ('{"size": 64}', '{"size_px": 1000000000}', '{"relax_px": "2"}', "[]", "{")
    for odd in (
        *({"crop": text} for text in crops),
        *({"crop": "{}", "threshold": text} for text in ("nan", "much", "7")),
    ):
        save(tmp_path / "odd.safetensors", state, odd)
        with pytest.raises(WeightsError, match="settings beside its weights that cannot be used"):
            load_segmenter(weights=tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError, match="is of the model lite, expected one of paper"):
        load_segmenter("paper", str(tmp_path / "own.safetensors"))


@pytest.mark.usefixtures("narrow_dextr")
@pytest.mark.parametrize(("head", "kind"), [("psp", "published"), ("atrous", "safetensors")])
def test_checkpoints_of_the_paper_tell_their_head(tmp_path: Path, head: str, kind: str) -> None:
    state = Dextr(head=head).state_dict()
    path = tmp_path / f"w.{'pth' if kind == 'published' else kind}"
    if kind == "published":
        old = {f"module.{key}": value for key, value in state.items() if "num_batches" not in key}
        torch.save(old, path, _use_new_zipfile_serialization=False)
    else:
        save(path, state)
    segmenter = load_segmenter(path, device="cpu")
    assert segmenter.name == "paper"
    points = extreme_points(tiny_mask(0) == 1)
    (prob,) = segmenter.probabilities(tiny_frame(0), [points])
    assert prob.shape == (48, 64)


def test_unusable_models_and_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown model 'ritm'; expected lite, paper, grabcut, sam, sam2"):
        load_segmenter("ritm")
    for wrong in (5, b"lite", ["lite"]):
        with pytest.raises(InputError, match="model must be a name or a path, got "):
            load_segmenter(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="weights must be a name or a path, got int 5"):
        load_segmenter("lite", 5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown model"):
        load_segmenter("other", tmp_path / "w.pth")
    with pytest.raises(InputError, match="the model paper needs weights"):
        load_segmenter("paper")
    with pytest.raises(InputError, match="the model grabcut takes no weights"):
        load_segmenter("grabcut", tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"no weights|does not exist|there (is|are) no"):
        load_segmenter(weights=tmp_path / "w.pth")
    save(tmp_path / "other.safetensors", {"layer.weight": torch.ones(2)})
    with pytest.raises(WeightsError, match="is no DEXTR checkpoint"):
        load_segmenter(weights=tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="is not of the model lite, expected one of lite"):
        load_segmenter("lite", tmp_path / "other.safetensors")


IMAGE = tiny_frame(2)
POINTS = extreme_points(tiny_mask(2) == 1)


@pytest.fixture(scope="module", params=["lite", "grabcut"])
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    return load_segmenter(request.param, device="cpu")


def test_points_come_in_any_order_and_number(segmenter: Segmenter) -> None:
    mask = segmenter.segment(IMAGE, POINTS)
    assert (mask.dtype, mask.shape) == (np.bool_, (48, 64))
    truth = tiny_mask(2) == 1
    assert (mask & truth).sum() / (mask | truth).sum() > 0.7
    given: list[npt.ArrayLike] = [POINTS[::-1], POINTS.tolist(), POINTS + 0.4, POINTS.astype(np.uint8)]
    for points in given:
        assert np.array_equal(segmenter.segment(IMAGE, points), mask)
    five = segmenter.segment(IMAGE, [*POINTS, POINTS.mean(axis=0)])
    assert five[truth].mean() > 0.7


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (POINTS[:3], "points_xy: 3 points, expected at least four"),
        (POINTS[:, :1], r"expected points_xy as N×2 numbers, .* got int64 of shape \(4, 1\)"),
        (POINTS[0], "expected points_xy as N×2"),
        ([(1, 2), (3, 4, 5)], "expected points_xy as N×2"),
        ([("a", "b")] * 4, "expected points_xy as N×2"),
        (None, "expected four extreme points, a box, or at least one positive click"),
        ([*POINTS[:3].tolist(), (np.nan, 5)], "expected finite points_xy"),
        ([*POINTS[:3].tolist(), (64, 5)], r"points_xy, point 4: \(64, 5\) is outside the 64×48 image"),
        ([*POINTS[:3].tolist(), (3, -1)], r"point 4: \(3, -1\) is outside"),
        ([(5, 5)] * 4, r"span a box of 1×1 px, expected at least 3×3"),
    ],
)
def test_unusable_points_are_refused(segmenter: Segmenter, points: npt.ArrayLike, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        segmenter.segment(IMAGE, points)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "image",
    [
        IMAGE / 255,
        IMAGE[..., 0],
        IMAGE[..., :2],
        IMAGE[None],
        IMAGE.astype(np.int64),
        IMAGE[:0],
        IMAGE.tolist(),
    ],
    ids=["float", "grey", "two channels", "batch", "int64", "empty", "list"],
)
def test_unusable_images_are_refused(segmenter: Segmenter, image: Any) -> None:
    with pytest.raises(InputError, match=r"^expected image_rgb as .*H×W×3 uint8.*, got "):
        segmenter.segment(image, POINTS)
