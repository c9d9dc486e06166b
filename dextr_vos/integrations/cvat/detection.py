"""A detection function for CVAT: the objects of a run, found in every image of a task.

The network that `dextr-vos propagate` fine-tuned on a clip is applied as `dextr-vos segment` does, to images
in the order in which they come. `create` is what `cvat-cli task auto-annotate` calls, with its `-p` settings.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dextr_vos.geometry import BoolArray, FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.integrations.cvat.shapes import cvat_sdk, outlines, shape_points
from dextr_vos.propagation.keyframes import FramePrediction
from dextr_vos.propagation.postprocess import labels_of
from dextr_vos.propagation.trained_network import TrainedNetwork, load_network
from dextr_vos.runtime import pick_device


class DetectionFunction:
    """cvat-sdk's protocol of that name; labels are the names of the run's objects.

    Args:
        trained: the network of a run.
        device: where to compute.
    """

    def __init__(self, trained: TrainedNetwork, device: torch.device) -> None:
        trained.network.to(device).to(memory_format=torch.channels_last)
        self._trained, self._device = trained, device
        self._sdk = cvat_sdk("auto_annotation")
        names = list(dict.fromkeys(entry.name for entry in trained.record.objects))
        self._label_of = {entry.id: names.index(entry.name) for entry in trained.record.objects}
        labels = [self._sdk.label_spec(name, number, type="mask") for number, name in enumerate(names)]
        self.spec = self._sdk.DetectionFunctionSpec(labels=labels)
        # of no image yet, but a model that cannot be used for other images is refused here
        self._size_hw = (480, 854)
        self._soft_masks = self._of_size(self._size_hw)

    def detect(self, context: Any, image: Image.Image) -> list[Any]:
        """A mask of each object that is visible, or its outlines where CVAT asks for polygons."""
        image_rgb: ImageRgb = np.asarray(image.convert("RGB"))
        size_hw = (image_rgb.shape[0], image_rgb.shape[1])
        trained, ids = self._trained, self._trained.object_ids
        if size_hw != self._size_hw:
            self._size_hw, self._soft_masks = size_hw, self._of_size(size_hw)
        certain = np.ones(len(ids), np.float32)
        prediction = FramePrediction(0, image_rgb, self._soft_masks(image_rgb), certain)
        labels = labels_of(prediction, ids, trained.record.min_component_share)
        return [
            shape
            for object_id in ids
            if (labels == object_id).any()
            for shape in self._shapes(self._label_of[object_id], labels == object_id, context)
        ]

    def _of_size(self, size_hw: tuple[int, int]) -> Callable[[ImageRgb], FloatArray]:
        """What gives soft masks of images of a size, one after the other."""
        trained, count = self._trained, len(self._trained.object_ids)
        return trained.model.sequence_segmenter(
            trained.network, trained.recipe, trained.memory, count, size_hw, self._device
        )

    def _shapes(self, label: int, mask: BoolArray, context: Any) -> list[Any]:
        if context.conv_mask_to_poly:
            return [self._sdk.polygon(label, outline) for outline in outlines(mask)]
        return [self._sdk.mask(label, shape_points("mask", mask))]


def create(run: str, device: str = "auto") -> DetectionFunction:
    """The function.

    Args:
        run: folder of a finished run of `dextr-vos propagate`, or its network.safetensors.
        device: auto, cpu, cuda, cuda:1 or mps.

    Raises:
        InputError: cvat-sdk is not installed, or there is no network, or its model is for one clip only.
        WeightsError: the network is broken.
    """
    cvat_sdk("auto_annotation")
    return DetectionFunction(load_network(Path(run)), pick_device(device))
