"""Segment Anything and SAM 2 for clicks: what their own predictors answer."""

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_sam import thin_sam, thin_sam2

from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.errors import InputError
from dextr_vos.networks.sam import load_sam, load_sam2, sam2_predictor, sam_predictor

pytestmark = pytest.mark.usefixtures("one_thread")
THIN = {"sam": (thin_sam, load_sam, sam_predictor), "sam2": (thin_sam2, load_sam2, sam2_predictor)}
IMAGE = tiny_frame(0)
EXTREMES = np.array([(8, 20), (25, 20), (15, 14), (15, 33)])
BOX = np.array([8, 14, 26, 34], np.float32)


@pytest.mark.parametrize("name", ["sam", "sam2"])
def test_masks_are_those_of_its_own_predictor(name, tmp_path, monkeypatch):
    make, load, predictor_of = THIN[name]
    checkpoint = make(tmp_path, monkeypatch)
    segmenter = load_segmenter(name, checkpoint, "cpu", bf16=False)
    assert (segmenter.name, segmenter.corrects) == (name, True)
    predictor = predictor_of(load(checkpoint))
    predictor.set_image(IMAGE)

    def theirs(several, **prompts):
        with torch.inference_mode():
            masks, quality, _ = predictor.predict(**prompts, multimask_output=several)
        return masks[np.argmax(quality)] > 0

    encoded, encode = [], segmenter._predictor.set_image
    monkeypatch.setattr(segmenter._predictor, "set_image", lambda image: encoded.append(1) or encode(image))
    assert np.array_equal(segmenter.segment(IMAGE, EXTREMES), theirs(False, box=BOX))
    assert np.array_equal(segmenter.segment(IMAGE, box_xyxy=[8, 14, 25, 33]), theirs(False, box=BOX))
    click = {"point_coords": np.array([[15.5, 20.5]]), "point_labels": np.array([1])}
    assert np.array_equal(segmenter.segment(IMAGE, positive_xy=[(15, 20)]), theirs(True, **click))
    assert len(encoded) == 1  # once for all prompts on an image
    other = segmenter.refine(tiny_frame(1), tiny_mask(1) == 1, negative_xy=[(40, 40)])
    assert other.shape == tiny_mask(1).shape
    assert len(encoded) == 2


@pytest.mark.parametrize("name", ["sam", "sam2"])
def test_without_weights_there_is_no_network(name):
    with pytest.raises(InputError, match=f"the model {name} needs weights"):
        load_segmenter(name)
