"""A tracking function for CVAT's agents: a mask, a polygon or a box is tracked from frame to frame.

The lite tracker does so as it is shipped: nothing is fine-tuned on the clip, since CVAT hands over one frame
after the other. `create` is what `cvat-cli function create-native` and `run-agent` call.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from dextr_vos.images import ImageRgb
from dextr_vos.integrations.cvat.shapes import TRACKED_SHAPES, cvat_sdk, mask_of_shape, shape_points
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.bidirectional import masked_frame
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.tracker import MaskedFrame, Memories, Tracker, resized_frame
from dextr_vos.propagation.training_data import network_size
from dextr_vos.runtime import pick_device

_THRESHOLD = 0.5


@dataclass
class TrackedObject:
    """What is known of one object.

    Attributes:
        first: memory of the frame on which it was drawn.
        frame: the last one, from which the next is tracked.
        recent: memory of a few frames since.
        steps: frames tracked.
    """

    first: Memories
    frame: MaskedFrame
    recent: list[Memories] = field(default_factory=list)
    steps: int = 0


class TrackingFunction:
    """cvat-sdk's protocol of that name.

    Args:
        tracker: of a trained network.
        device: where the masks of boxes are computed, too.
    """

    def __init__(self, tracker: Tracker, device: str) -> None:
        self._tracker, self._device = tracker, device
        self._tracking = LITE.recipe.tracking
        self._sdk = cvat_sdk("auto_annotation")
        self.spec = self._sdk.TrackingFunctionSpec(supported_shape_types=TRACKED_SHAPES)

    def preprocess_image(self, context: Any, image: Image.Image) -> ImageRgb:
        """The image as an array."""
        return np.asarray(image.convert("RGB"))

    def init_tracking_state(self, context: Any, pp_image: ImageRgb, shape: Any) -> TrackedObject:
        """What the tracker knows of a shape.

        Raises:
            InputError: the shape is damaged, or there is nothing in it.
        """
        mask = mask_of_shape(shape.type, shape.points, pp_image, self._device)
        frame = masked_frame(pp_image, mask.astype(np.uint8), [1], self._size_hw(pp_image))
        return TrackedObject(self._memorize(frame), frame)

    def track(self, context: Any, pp_image: ImageRgb, state: TrackedObject) -> Any:
        """The shape on the next frame; None where the object is not found."""
        small = resized_frame(pp_image, self._size_hw(pp_image))
        features = self._tracker.encode_next(state.frame, small, 1)
        probs = self._tracker.segment(features, [state.first, *state.recent]).probs
        state.frame = MaskedFrame(small, probs)
        if state.steps % self._tracking.mem_every == self._tracking.mem_every - 1:
            memories = [*state.recent, self._tracker.memorize(features, probs)]
            state.recent = memories[-self._tracking.max_recent :]
        state.steps += 1
        size = pp_image.shape[1], pp_image.shape[0]
        mask = cv2.resize(probs[0].cpu().numpy(), size, interpolation=cv2.INTER_LINEAR) > _THRESHOLD
        kind = context.original_shape_type
        points = shape_points(kind, mask) if mask.any() else []
        return self._sdk.TrackableShape(type=kind, points=points) if points else None

    def _memorize(self, frame: MaskedFrame) -> Memories:
        return self._tracker.memorize(self._tracker.encode_known(frame), frame.probs)

    def _size_hw(self, image_rgb: ImageRgb) -> tuple[int, int]:
        return network_size((image_rgb.shape[0], image_rgb.shape[1]), self._tracking.longest_side)


def create(weights: str | None = None, device: str = "auto") -> TrackingFunction:
    """The function.

    Args:
        weights: checkpoint of a lite tracker; the shipped one by default.
        device: auto, cpu, cuda, cuda:1 or mps.

    Raises:
        InputError: cvat-sdk is not installed, or there is no such device.
        WeightsError: the checkpoint is missing, broken or of another network.
    """
    cvat_sdk("auto_annotation")
    chosen, recipe = pick_device(device), LITE.recipe
    network = LITE.start(1, 0, Path(weights) if weights else shipped_weights("lite-parent"))
    network = network.to(chosen).to(memory_format=torch.channels_last).eval()
    return TrackingFunction(LITE.tracker(network, recipe.tracking, recipe.longest_side, chosen), device)
