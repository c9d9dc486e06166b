"""Segmenters: clicks on one image in, masks out; one interface for every model."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from dextr_vos.annotation.prompts import Click, Prompt, check_prompt
from dextr_vos.errors import InputError, MissingCheckpointError, WeightsError
from dextr_vos.geometry import BoolArray, Box, FloatArray, IntArray, box_around
from dextr_vos.images import ImageRgb, check_image
from dextr_vos.masks import Labels, labels_from_probs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dextr_vos.annotation.dextr_input import ClickCrop

MODELS = ("lite", "paper", "grabcut", "sam", "sam2")

# networks of other packages, by the functions that load them
_SAM = "dextr_vos.annotation.sam"
_OTHERS = {"sam": "load_sam_segmenter", "sam2": "load_sam2_segmenter"}

# what files of weights may say of themselves
_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=1, le=100)]
_Blocks = tuple[_Count, _Count, _Count, _Count]


class Segmenter(ABC):
    """Makes masks from clicks; see `load_segmenter`.

    Attributes:
        name: of the model, as `annotations.json` records it.
        threshold: a pixel belongs to an object where its probability is above this.
        corrects: takes a box, positive and negative clicks and a mask to correct, not extreme points alone.
    """

    name: str
    threshold: float
    corrects: bool = False

    @abstractmethod
    def probabilities(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """Soft masks of several objects in one image, without any check of the input.

        Args:
            image_rgb: H×W×3 uint8.
            objects_xy: for each object N×2 pixels (x, y) inside the image, N ≥ 4, in any order.

        Returns:
            For each object H×W float32 in [0, 1], zero farther outside the box of its points.
        """

    def prompted(self, image_rgb: ImageRgb, prompts: Sequence[Prompt]) -> list[FloatArray]:
        """Soft masks of several objects in one image from all that is known of them, without any check.

        Args:
            image_rgb: H×W×3 uint8.
            prompts: one an object.

        Returns:
            For each object H×W float32 in [0, 1].

        Raises:
            InputError: there is more than extreme points, and the model does not take it.
        """
        points = [prompt.points_xy for prompt in prompts if prompt.is_extremes]
        if len(points) < len(prompts):
            raise InputError(
                f"the model {self.name} takes extreme points and further points on the outline; a box, "
                "positive and negative clicks and masks to correct are for the model lite"
            )
        return self.probabilities(image_rgb, [each for each in points if each is not None])

    def segment(
        self,
        image_rgb: ImageRgb,
        points_xy: npt.ArrayLike | None = None,
        *,
        box_xyxy: npt.ArrayLike | None = None,
        positive_xy: npt.ArrayLike | None = None,
        negative_xy: npt.ArrayLike | None = None,
    ) -> BoolArray:
        """Mask of one object from its extreme points (Maninis et al., CVPR 2018), a box, or a click on it.

        Args:
            image_rgb: H×W×3 uint8, RGB.
            points_xy: N×2 pixels (x, y) with N ≥ 4, in any order: the leftmost, rightmost, topmost and
                bottommost point of the object, and any further points on its outline. The most precise way.
            box_xyxy: x0, y0, x1, y1, the box around the object, its ends included, in place of them.
            positive_xy: N×2 pixels on the object.
            negative_xy: N×2 pixels that are not on the object.

        Returns:
            H×W bool.

        Raises:
            InputError: the image is not H×W×3 uint8; there are one to three extreme points; one of them, or
                a click, is outside the image or not finite; all extreme points or the box are less than 3
                pixels wide or high; there are neither extreme points nor a box nor a positive click; or the
                model takes extreme points alone.

        Examples:
            >>> import numpy as np
            >>> image_rgb = np.zeros((120, 160, 3), np.uint8)
            >>> image_rgb[40:80, 60:110] = 200, 60, 40
            >>> points_xy = [(60, 55), (109, 60), (85, 40), (85, 79)]
            >>> mask = load_segmenter("grabcut").segment(image_rgb, points_xy)
            >>> mask.shape, mask.dtype, int(mask.sum())
            ((120, 160), dtype('bool'), 2000)
        """
        extremes = None if points_xy is None else as_pixels(points_xy, "points_xy")
        box = None if box_xyxy is None else _as_box(box_xyxy)
        return self._segmented(image_rgb, Prompt(extremes, _clicks(positive_xy, negative_xy), box))

    def refine(
        self,
        image_rgb: ImageRgb,
        mask: npt.ArrayLike,
        positive_xy: npt.ArrayLike | None = None,
        negative_xy: npt.ArrayLike | None = None,
        points_xy: npt.ArrayLike | None = None,
    ) -> BoolArray:
        """A mask corrected by clicks, whatever it was made by (as RITM, Sofiiuk et al., ICIP 2022).

        Args:
            image_rgb: H×W×3 uint8, RGB.
            mask: H×W, bool or a probability in [0, 1]: from clicks, painted, imported or propagated.
            positive_xy: N×2 pixels on the object, where the mask misses it.
            negative_xy: N×2 pixels that are not on the object, where the mask spills.
            points_xy: extreme points, where the mask was made from them; they still count.

        Returns:
            H×W bool.

        Raises:
            InputError: as `segment`; the mask is of another size or not in [0, 1]; there is no click; or the
                model takes extreme points alone.

        Examples:
            >>> import numpy as np
            >>> image_rgb = np.zeros((120, 160, 3), np.uint8)
            >>> image_rgb[40:80, 60:110] = 200, 60, 40
            >>> mask = np.zeros((120, 160), bool)
            >>> mask[40:80, 60:90] = True
            >>> refined = load_segmenter(device="cpu").refine(image_rgb, mask, positive_xy=[(100, 60)])
            >>> bool(refined[60, 100]), bool(refined[10, 10])
            (True, False)
        """
        clicks = _clicks(positive_xy, negative_xy)
        if not clicks:
            raise InputError("expected at least one click in positive_xy or negative_xy, got none")
        extremes = None if points_xy is None else as_pixels(points_xy, "points_xy")
        return self._segmented(image_rgb, Prompt(extremes, clicks, mask=_as_soft_mask(mask)))

    def _segmented(self, image_rgb: ImageRgb, prompt: Prompt) -> BoolArray:
        image_rgb = check_image(image_rgb, "image_rgb")
        where = "points_xy" if prompt.points_xy is not None else "prompt"
        check_prompt(prompt, (image_rgb.shape[0], image_rgb.shape[1]), where)
        (prob,) = self.prompted(image_rgb, [prompt])
        mask: BoolArray = prob > self.threshold
        return mask


class GrabCutSegmenter(Segmenter):
    """GrabCut, which needs no weights; see `annotation.grabcut`."""

    name = "grabcut"
    threshold = 0.5

    def probabilities(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """See `Segmenter.probabilities`."""
        from dextr_vos.annotation.grabcut import grabcut

        return [grabcut(image_rgb, points) for points in objects_xy]


def as_pixels(points_xy: npt.ArrayLike, name: str) -> IntArray:
    """Points as an N×2 array of whole pixels, rounded to the nearest.

    Raises:
        InputError: they are not N×2 finite numbers; `name` says which points.
    """
    points = _as_array(points_xy)
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        raise InputError(
            f"expected {name} as N×2 numbers, one (x, y) in pixels for each point, got {points.dtype} of "
            f"shape {points.shape}"
        )
    if not np.isfinite(points).all():
        raise InputError(f"expected finite {name}, got {points.tolist()}")
    pixels: IntArray = np.rint(points).astype(np.int64)
    return pixels


def _as_array(values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        return np.array([None], dtype=object)


def _as_box(box_xyxy: npt.ArrayLike) -> Box:
    corners = _as_array(box_xyxy)
    if corners.shape != (4,):
        raise InputError(f"expected box_xyxy as x0, y0, x1, y1, got {box_xyxy!r:.60}")
    return box_around(as_pixels(corners.reshape(2, 2), "box_xyxy"))


def _clicks(positive_xy: npt.ArrayLike | None, negative_xy: npt.ArrayLike | None) -> tuple[Click, ...]:
    clicks: list[Click] = []
    for points_xy, positive in ((positive_xy, True), (negative_xy, False)):
        if points_xy is not None and _as_array(points_xy).size:
            name = "positive_xy" if positive else "negative_xy"
            clicks += [Click(x, y, positive) for x, y in as_pixels(points_xy, name).tolist()]
    return tuple(clicks)


def _as_soft_mask(mask: npt.ArrayLike) -> FloatArray:
    array = _as_array(mask)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise InputError(f"expected mask as H×W bool or numbers in [0, 1], got {array.dtype} {array.shape}")
    soft: FloatArray = array.astype(np.float32)
    if not (soft.size and float(soft.min()) >= 0 and float(soft.max()) <= 1):
        raise InputError("expected the values of mask in [0, 1]; give labels == object_id for one object")
    return soft


def label_frame(segmenter: Segmenter, image_rgb: ImageRgb, objects: Mapping[int, Prompt]) -> Labels:
    """Labels of one image from the clicks on its objects.

    Args:
        segmenter: makes the masks.
        image_rgb: H×W×3 uint8.
        objects: by object id what is known of it, already checked.

    Returns:
        H×W uint8 labels; a pixel that several objects claim goes to the most probable one.
    """
    if not objects:
        return np.zeros(image_rgb.shape[:2], dtype=np.uint8)
    probs = segmenter.prompted(image_rgb, list(objects.values()))
    object_ids = np.array([0, *objects], dtype=np.uint8)
    labels: Labels = object_ids[labels_from_probs(probs, segmenter.threshold)]
    return labels


def load_segmenter(
    model: str | Path | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    bf16: bool = True,
) -> Segmenter:
    """Load a segmenter, which turns extreme clicks into masks.

    Args:
        model: "lite", the small network, whose weights come with the package; "paper", the published DEXTR
            with a ResNet-101, which needs `weights`; "grabcut", which needs none; "sam" and "sam2", Segment
            Anything, which need `weights` and a package each; or the path of a checkpoint. None is the
            model of `weights`, or lite without any.
        weights: checkpoint, `.pth` as published or `.safetensors` of train-dextr.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        bf16: let the network compute in bf16 where that is faster.

    Returns:
        The segmenter, with its network on the device.

    Raises:
        InputError: an unknown model, one without the weights it needs, or weights for GrabCut; no such
            device.
        WeightsError: the checkpoint is missing, broken, or of another model.

    Examples:
        >>> load_segmenter("grabcut").name
        'grabcut'
    """
    for name, value in (("model", model), ("weights", weights)):
        if not isinstance(value, str | Path | None):
            raise InputError(f"{name} must be a name or a path, got {type(value).__name__} {value!r:.80}")
    if model is not None and str(model) not in MODELS:
        if weights is not None or not Path(model).exists():
            raise InputError(
                f"unknown model '{model}'; expected {', '.join(MODELS)}, or the path of a checkpoint"
            )
        model, weights = None, model
    if model == "grabcut":
        if weights is not None:
            raise InputError(f"the model grabcut takes no weights, got {weights}; leave them out")
        return GrabCutSegmenter()
    if model not in (None, "lite") and weights is None:
        raise MissingCheckpointError(
            f"the model {model} needs weights, the path of a published checkpoint or of a .safetensors file",
            "weights",
        )
    if model in _OTHERS and weights is not None:
        load: Callable[[Path, str, bool], Segmenter] = getattr(import_module(_SAM), _OTHERS[str(model)])
        return load(Path(weights), device, bf16)
    return _load(
        None if model is None else str(model), None if weights is None else Path(weights), device, bf16
    )


def _load(model: str | None, weights: Path | None, device: str, bf16: bool) -> Segmenter:
    # PyTorch takes seconds to import, and GrabCut does without
    from dextr_vos.annotation.dextr import DextrSegmenter
    from dextr_vos.annotation.prompt_segmenter import PromptSegmenter
    from dextr_vos.networks.checkpoint_file import is_lite_clicks
    from dextr_vos.networks.checkpoints import load_into, read_state_dict
    from dextr_vos.networks.lite_clicks import LiteClicks
    from dextr_vos.networks.shipped import shipped_weights
    from dextr_vos.networks.tiny_vit import fold_constants
    from dextr_vos.runtime import cast_weights, pick_device

    path = weights or shipped_weights("lite-clicks")
    state = read_state_dict(path)
    metadata = _metadata(path)
    is_lite = is_lite_clicks(state)
    if model is not None and is_lite != (model == "lite"):
        kind = "of the model lite" if is_lite else "not of the model lite"
        raise WeightsError(f"{path} is {kind}, expected one of {model}; use the other model or other weights")
    crop, threshold = _crop_and_threshold(path, metadata, is_lite)
    chosen = pick_device(device)
    if is_lite:
        lite = LiteClicks()
        load_into(lite, state, path)
        fold_constants(lite.encoder)
        cast_weights(lite, chosen, bf16)
        return PromptSegmenter(lite, chosen, crop, threshold, bf16=bf16)
    network = _paper_network(path, state, metadata)
    load_into(network, state, path)
    return DextrSegmenter(network, chosen, crop, threshold, bf16=bf16)


def _paper_network(path: Path, state: "Mapping[str, Tensor]", metadata: Mapping[str, str]) -> "nn.Module":
    from dextr_vos.networks.checkpoints import dextr_head
    from dextr_vos.networks.dextr import RESNET101_BLOCKS, Dextr

    head = dextr_head(state)
    if head is None:
        raise WeightsError(
            f"{path} is no DEXTR checkpoint: it has neither the PSP nor the ASPP head (layer5.*); "
            "give dextr_pascal-sbd.pth, dextr_pascal.pth, dextr_coco.pth or one trained by this package"
        )
    try:
        blocks = TypeAdapter(_Blocks).validate_json(metadata.get("blocks", json.dumps(RESNET101_BLOCKS)))
    except ValidationError as error:
        raise _unusable_settings(path, error) from None
    return Dextr(head=head, blocks=blocks)


def _metadata(path: Path) -> dict[str, str]:
    """What a training wrote beside its weights; nothing for a published checkpoint."""
    from dextr_vos.networks.checkpoint_file import read_metadata

    return read_metadata(path) if path.suffix == ".safetensors" else {}


def _crop_and_threshold(path: Path, metadata: Mapping[str, str], is_lite: bool) -> tuple["ClickCrop", float]:
    """The input a network was trained with, and the threshold of its masks."""
    from dextr_vos.annotation.dextr import PAPER_THRESHOLD
    from dextr_vos.annotation.dextr_input import ClickCrop

    if "crop" not in metadata and is_lite:
        raise WeightsError(
            f"{path} does not say how its network crops an image; give a .safetensors of train-dextr"
        )
    try:
        crop = TypeAdapter(ClickCrop).validate_json(metadata.get("crop", "{}"), strict=True)
        return crop, TypeAdapter(_Share).validate_json(metadata.get("threshold", str(PAPER_THRESHOLD)))
    except ValidationError as error:
        raise _unusable_settings(path, error) from None


def _unusable_settings(path: Path, error: ValidationError) -> WeightsError:
    first = error.errors()[0]
    place = "".join(f"{part}: " for part in first["loc"])
    return WeightsError(
        f"{path} has settings beside its weights that cannot be used: {place}{first['msg']}; "
        "give another checkpoint"
    )
