import numpy as np
import pytest
import torch

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.annotation.prompt_segmenter import PromptSegmenter
from dextr_vos.annotation.prompts import Click, Prompt
from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.errors import InputError
from dextr_vos.geometry import extreme_points
from dextr_vos.networks.lite_clicks import LiteClicks

CROP = ClickCrop(size_px=64, relax_px=4, relax_share=0.15, cubic=False, overlap_share=0.03)
IMAGE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
ROWS, COLUMNS = np.indices((90, 120))
ELLIPSE = ((COLUMNS - 60) / 30) ** 2 + ((ROWS - 40) / 20) ** 2 <= 1
POINTS = extreme_points(ELLIPSE)
SOFT = ELLIPSE.astype(np.float32)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return LiteClicks()


@pytest.fixture
def segmenter(network):
    return PromptSegmenter(network, torch.device("cpu"), CROP)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(POINTS),
        Prompt(box_xyxy=(30, 20, 90, 60)),
        Prompt(clicks=(Click(60, 40, True), Click(3, 4, False))),
        Prompt(clicks=(Click(60, 40, True),), mask=SOFT),
        Prompt(clicks=(Click(3, 4, False),), mask=np.zeros_like(SOFT)),
        Prompt(POINTS, (Click(60, 40, False),), mask=SOFT),
    ],
    ids=["extremes", "box", "clicks", "mask", "empty mask", "all"],
)
def test_masks_have_the_size_of_the_image(segmenter, prompt):
    (prob,) = segmenter.prompted(IMAGE, [prompt])
    assert (prob.shape, prob.dtype) == (ELLIPSE.shape, np.float32)
    assert prob.min() >= 0
    assert prob.max() <= 1


def test_extreme_points_bound_the_mask_and_a_click_beyond_them_extends_it(segmenter):
    (prob,) = segmenter.probabilities(IMAGE, [POINTS])
    assert not prob[:, :28].any()
    assert prob[20:60, 32:88].all()
    (extended,) = segmenter.prompted(IMAGE, [Prompt(POINTS, (Click(12, 40, True),), mask=prob)])
    assert extended[35:45, 12:28].all()
    assert not extended[:, :8].any()


def test_a_correction_of_the_same_crop_does_not_encode_the_image_again(segmenter, network):
    encoded = []
    hook = network.encoder.register_forward_hook(lambda *_: encoded.append(1))
    try:
        (prob,) = segmenter.prompted(IMAGE, [Prompt(POINTS)])
        for inside in (Click(60, 40, True), Click(50, 40, False)):
            segmenter.prompted(IMAGE, [Prompt(POINTS, (inside,), mask=prob)])
        assert len(encoded) == 1
        segmenter.prompted(255 - IMAGE, [Prompt(POINTS)])
        assert len(encoded) == 2
    finally:
        hook.remove()


def test_first_masks_of_single_clicks_encode_the_whole_image_once(segmenter, network):
    encoded = []
    hook = network.encoder.register_forward_hook(lambda *_: encoded.append(1))
    try:
        for x in (50, 60, 70):
            segmenter.prompted(IMAGE, [Prompt(clicks=(Click(x, 40, True),))])
        crops = len(encoded) - 1
        segmenter.prompted(IMAGE, [Prompt(clicks=(Click(70, 40, True),))])
        assert len(encoded) - 1 == crops, "neither the image nor the part is encoded again"
        assert crops <= 3
    finally:
        hook.remove()


def test_the_kept_maps_change_no_mask(segmenter, network):
    known = Prompt(POINTS, (Click(60, 40, True),), mask=SOFT)
    segmenter.prompted(IMAGE, [Prompt(POINTS)])
    (kept,) = segmenter.prompted(IMAGE, [known])
    (fresh,) = PromptSegmenter(network, torch.device("cpu"), CROP).prompted(IMAGE, [known])
    assert np.array_equal(kept, fresh)


def test_segment_and_refine_take_what_they_say(segmenter):
    for mask in (
        segmenter.segment(IMAGE, POINTS),
        segmenter.segment(IMAGE, box_xyxy=(30, 20, 90, 60)),
        segmenter.segment(IMAGE, positive_xy=[(60, 40)], negative_xy=[(5, 5), (100, 80)]),
        segmenter.refine(IMAGE, ELLIPSE, negative_xy=[(60, 40)]),
        segmenter.refine(IMAGE, SOFT, positive_xy=[(60, 40)], points_xy=POINTS),
    ):
        assert (mask.shape, mask.dtype) == (ELLIPSE.shape, np.bool_)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected four extreme points, a box, or at least one positive click"),
        ({"negative_xy": [(5, 5)]}, "at least one positive click"),
        ({"points_xy": POINTS[:3]}, "points_xy: 3 points, expected at least four"),
        ({"box_xyxy": (1, 2, 3)}, "expected box_xyxy as x0, y0, x1, y1"),
        ({"box_xyxy": (5, 5, 6, 80)}, "the points span a box of 2×76 px"),
        ({"box_xyxy": (5, 5, 130, 80)}, r"corners of the box, point 2: \(130, 80\) is outside"),
        ({"positive_xy": [(120, 5)]}, r"positive and negative clicks, point 1: \(120, 5\) is outside"),
        ({"positive_xy": (60, 40)}, "expected positive_xy as N×2 numbers"),
    ],
)
def test_what_makes_no_mask_is_refused(segmenter, given, message):
    with pytest.raises(InputError, match=message):
        segmenter.segment(IMAGE, **given)


@pytest.mark.parametrize(
    ("mask", "clicks", "message"),
    [
        (ELLIPSE, [], "expected at least one click in positive_xy or negative_xy"),
        (ELLIPSE[:-1], [(60, 40)], "the mask is of 120×89 px, expected the image's 120×90"),
        (255 * ELLIPSE.astype(np.uint8), [(60, 40)], r"expected the values of mask in \[0, 1\]"),
        (SOFT * np.nan, [(60, 40)], r"expected the values of mask in \[0, 1\]"),
        (SOFT[None], [(60, 40)], "expected mask as H×W bool or numbers"),
    ],
)
def test_masks_that_cannot_be_corrected_are_refused(segmenter, mask, clicks, message):
    with pytest.raises(InputError, match=message):
        segmenter.refine(IMAGE, mask, positive_xy=clicks)


def test_models_of_extreme_points_say_what_they_take():
    grabcut = load_segmenter("grabcut")
    with pytest.raises(InputError, match="the model grabcut takes extreme points and further points"):
        grabcut.refine(IMAGE, ELLIPSE, positive_xy=[(60, 40)])
    with pytest.raises(InputError, match="are for the model lite"):
        grabcut.segment(IMAGE, box_xyxy=(30, 20, 90, 60))
