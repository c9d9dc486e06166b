"""An interaction function for CVAT's agents: clicks, or a box, become a mask.

`create` is what `cvat-cli function create-native` and `run-agent` call, with their `-p` parameters.
"""

from typing import Any

import numpy as np
from PIL import Image

from dextr_vos.annotation.segmenter import Segmenter, load_segmenter
from dextr_vos.images import ImageRgb
from dextr_vos.integrations.cvat.shapes import cvat_sdk, prompt_of, segment, shape_points


class InteractionFunction:
    """cvat-sdk's protocol of that name.

    Args:
        segmenter: makes the masks.
        extreme_points: positive points are the object's extreme points, of which four are needed.
    """

    def __init__(self, segmenter: Segmenter, extreme_points: bool = False) -> None:
        self._segmenter, self._extreme_points = segmenter, extreme_points
        self._sdk = cvat_sdk("auto_annotation")
        self.spec = (
            self._sdk.InteractionFunctionSpec(min_pos_points=4)
            if extreme_points
            else self._sdk.InteractionFunctionSpec(min_pos_points=1, min_neg_points=0, min_bounding_boxes=0)
        )

    def preprocess_image(self, context: Any, image: Image.Image) -> ImageRgb:
        """The image as an array, of which the segmenter keeps what it computed last."""
        return np.asarray(image.convert("RGB"))

    def detect(self, context: Any, pp_image: ImageRgb, prompts: Any) -> list[Any]:
        """The mask, as one shape; none where nothing is found.

        Raises:
            InputError: no mask can be made of the prompts.
        """
        size_hw = (pp_image.shape[0], pp_image.shape[1])
        prompt = prompt_of(
            prompts.pos_points, prompts.neg_points, prompts.bounding_box, size_hw, self._extreme_points
        )
        mask = segment(self._segmenter, pp_image, prompt)
        if not mask.any():
            return []
        return [self._sdk.InteractionResultShape(type="mask", points=shape_points("mask", mask))]


def create(
    model: str = "lite", weights: str | None = None, device: str = "auto", extreme_points: bool = False
) -> InteractionFunction:
    """The function.

    Args:
        model: lite, paper or grabcut, see `load_segmenter`; the last two take extreme points only.
        weights: checkpoint for the model.
        device: auto, cpu, cuda, cuda:1 or mps.
        extreme_points: see `InteractionFunction`.

    Raises:
        InputError: cvat-sdk is not installed, or an unknown model.
        WeightsError: the checkpoint is missing or broken.
    """
    cvat_sdk("auto_annotation")
    segmenter = load_segmenter(model, weights, device)
    return InteractionFunction(segmenter, extreme_points or not segmenter.corrects)
