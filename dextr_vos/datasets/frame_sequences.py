"""Short sequences of frames for training a tracker: cut out of clips with masks, or rendered from images.

The first frame is the one whose mask is known, anywhere in the clip; the others follow one another, forward
or backward, near in time. All are crops around the object, as the tracker makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated

import cv2
import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from dextr_vos.datasets.copy_paste import Draw, Layer, blend, centred
from dextr_vos.datasets.frame_pairs import Chance, SceneRecipe, draw_scene
from dextr_vos.datasets.instances import Example, ObjectRef, ObjectSet
from dextr_vos.datasets.mask_corruption import MaskCorruption, corrupt_guide, corrupt_mask
from dextr_vos.datasets.motion import Frame, draw_clip
from dextr_vos.datasets.photometric import PhotometricAugmentation, change_colours, change_sharpness
from dextr_vos.files import natural_key
from dextr_vos.geometry import BoolArray, FloatArray
from dextr_vos.optical_flow import backward_flow

_SHORTEST_TRACK = 8  # frames; of fewer, any one is the next of any other
_FLOW_STRIDE = 2
_LEAST_LEFT = 0.5  # share of an object that a twin in front of it leaves to be seen
_MOST_TWINS = 3


@dataclass(frozen=True)
class SequenceRecipe:
    """How sequences are made; every chance is a share of all of them.

    Attributes:
        length: frames to track through.
        margin: least and largest size of the crop, as a multiple of the object's box.
        gap: largest number of frames from one to the next.
        warped: chance that the first guide is the warped mask of a frame before, not the frame's own.
        correct: chance that the first guide has no further errors.
        known: chance that the mask of the known frame has errors, those of a mask made by clicks.
        twin: chance that the object of a clip has a look-alike beside it, itself at another time, and of one
            more after each, up to three.
        photometric: of whole sequences.
        sharpness: of single frames.
    """

    length: Annotated[int, Field(ge=2)] = 3
    margin: tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(ge=1)]] = (1.4, 3.0)
    gap: Annotated[int, Field(ge=1)] = 4
    warped: Chance = 0.5
    correct: Chance = 0.25
    known: Chance = 0.25
    twin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    photometric: PhotometricAugmentation = field(default_factory=PhotometricAugmentation)
    sharpness: PhotometricAugmentation = field(
        default_factory=lambda: PhotometricAugmentation(0.0, 0.0, 0.0, 0.12, 0.05, 0.15)
    )


@dataclass(frozen=True)
class FrameSequence:
    """Frames of one object.

    Attributes:
        known: the frame whose mask is known.
        before: the frame before the first of `frames`; None where there is none near.
        frames: to track through.
    """

    known: Frame
    before: Frame | None
    frames: Sequence[Frame]


def tracks(objects: ObjectSet) -> list[list[int]]:
    """The indices of one object in the frames of its clip, in order, for every object of every clip."""
    found: dict[tuple[str, int], list[int]] = {}
    for index, ref in sorted(enumerate(objects.refs), key=lambda each: natural_key(each[1].image)):
        found.setdefault((_clip_of(ref), ref.object_id), []).append(index)
    return [track for track in found.values() if len(track) > 1]


def _clip_of(ref: ObjectRef) -> str:
    return ref.image.rpartition("/")[0]


def clip_sequence(
    objects: ObjectSet,
    track: Sequence[int],
    size_hw: tuple[int, int],
    recipe: SequenceRecipe,
    rng: np.random.Generator,
) -> FrameSequence:
    """A sequence of a clip.

    Args:
        objects: frames with masks.
        track: see `tracks`.
        size_hw: of the crops.
        recipe: how it is made.
        rng: the only source of chance.
    """
    near = len(track) >= _SHORTEST_TRACK
    if near:
        gaps = rng.integers(1, recipe.gap + 1, recipe.length)
        gaps = np.minimum(gaps, rng.integers(1, recipe.gap + 1, recipe.length))  # small ones more often
        offsets = np.concatenate([[0], np.cumsum(gaps)])
        offsets = offsets[offsets < len(track)]
        places = int(rng.integers(0, len(track) - offsets[-1])) + offsets
        if rng.random() < 0.5:
            places = places[::-1]
        places = np.pad(places, (0, recipe.length + 1 - len(places)), mode="edge")
    else:
        places = rng.integers(0, len(track), recipe.length + 1)
    margin = float(np.exp(rng.uniform(*np.log(recipe.margin))))
    seed, flipped = int(rng.integers(2**31)), bool(rng.random() < 0.5)
    known = objects.read(track[int(rng.integers(len(track)))])
    examples = [objects.read(track[int(place)]) for place in places]
    for _ in range(_MOST_TWINS if recipe.twin else 0):
        if rng.random() >= recipe.twin:
            break
        known, *examples = _with_twin([known, *examples], places.tolist(), objects, track, rng)

    def cut(example: Example, box: tuple[int, int, int, int]) -> Frame:
        frame = _crop(example, box, size_hw, flipped)
        image = change_colours(frame.image_rgb, recipe.photometric, np.random.default_rng(seed))
        return replace(frame, image_rgb=change_sharpness(image, recipe.sharpness, rng))

    boxes = [_crop_box([example.mask], margin, size_hw, rng) for example in (known, *examples)]
    if near:
        boxes[1:] = [_crop_box([example.mask for example in examples], margin, size_hw, rng)] * len(examples)
    frames = [cut(example, box) for example, box in zip((known, *examples), boxes, strict=True)]
    return FrameSequence(frames[0], frames[1] if near else None, frames[2:])


def _with_twin(
    examples: Sequence[Example],
    places: Sequence[int],
    objects: ObjectSet,
    track: Sequence[int],
    rng: np.random.Generator,
) -> list[Example]:
    """The known frame and those to track through with a look-alike of the object in each.

    Args:
        examples: the known frame and the others.
        places: of the others in the track.
        objects: frames with masks.
        track: see `tracks`.
        rng: the only source of chance.
    """
    # it looks and moves as the object does at another time, forward or backward
    steps = np.asarray(places) - min(places)
    if rng.random() < 0.5:
        steps = steps.max() - steps
    start = int(rng.integers(len(track) - steps.max()))
    others = [objects.read(track[int(place)]) for place in (rng.integers(len(track)), *(start + steps))]
    scale, mirrored = float(np.exp(rng.normal(0, 0.15))), bool(rng.random() < 0.5)
    beside = _offset(examples[1], rng)
    own = [_centre(other) for other in others]
    across = -1 if mirrored else 1
    places_xy = [_centre(examples[0]) + _offset(examples[0], rng)] + [
        _centre(examples[1]) + beside + (at - own[1]) * (across, 1) for at in own[1:]
    ]
    twins = [
        centred(other.image_rgb, other.mask, place_xy, scale, mirrored)
        for other, place_xy in zip(others, places_xy, strict=True)
    ]
    pairs = list(zip(examples, twins, strict=True))
    in_front = rng.random() < 0.3 and all(
        (example.mask & ~twin.mask).sum() >= _LEAST_LEFT * example.mask.sum() for example, twin in pairs
    )
    return [_beside(example, twin, in_front, rng) for example, twin in pairs]


def _centre(example: Example) -> FloatArray:
    x, y, width, height = cv2.boundingRect(example.mask.view(np.uint8))
    return np.array([x + width / 2, y + height / 2], np.float32)


def _offset(example: Example, rng: np.random.Generator) -> FloatArray:
    """From an object to one beside it."""
    _, _, width, height = cv2.boundingRect(example.mask.view(np.uint8))
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.6)
    return np.array([width * away * np.cos(angle), 0.4 * height * away * np.sin(angle)], np.float32)


def _beside(example: Example, twin: Layer, in_front: bool, rng: np.random.Generator) -> Example:
    """The example with another object before or behind its own."""
    if not twin.mask.any():
        return example
    image, void = blend(example.image_rgb, twin, rng), example.void & ~twin.mask
    if in_front:
        return replace(example, image_rgb=image, mask=example.mask & ~twin.mask, void=void)
    if example.mask.any():
        image = blend(image, Layer(example.image_rgb, example.mask, example.void), rng)
    return replace(example, image_rgb=image, void=void)


def rendered_sequence(
    example: Example, draw: Draw, scene: SceneRecipe, recipe: SequenceRecipe, rng: np.random.Generator
) -> FrameSequence:
    """A sequence rendered from an image, see `draw_scene`; its frames have the size of the scene."""
    background, sprites = draw_scene(example, draw, scene, rng)
    times = np.linspace(1.0, rng.uniform(1.0, 1.6), recipe.length) - rng.uniform(0, 0.6)
    first, *frames = draw_clip(background, sprites, scene.motion, [0.0, *times.tolist()], rng)
    if not first.mask.any():
        # the target came in from outside: what is known is the frame that shows most of it
        most = int(np.argmax([frame.mask.sum() for frame in frames]))
        first = frames[most] if frames[most].mask.any() else first
    return FrameSequence(first, None, frames)


def sequence_sample(
    sequence: FrameSequence, recipe: SequenceRecipe, corruption: MaskCorruption, rng: np.random.Generator
) -> dict[str, Tensor]:
    """A sequence as the network takes it.

    Returns:
        "frames" (1+T)×H×W×3 uint8; "known_mask" 1×H×W bool; "guide" 1×H×W float32; "flows" (T-1)×2×h×w
        float16, see `LiteTracker.forward`; "target" and "void" T×H×W bool.
    """
    known, frames = sequence.known, sequence.frames
    known_mask = known.mask
    if rng.random() < recipe.known and known_mask.any():
        known_mask = corrupt_mask(known_mask, corruption, rng)
    images = [np.ascontiguousarray(frame.image_rgb) for frame in (known, *frames)]
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    flows = [backward_flow(before, now) for before, now in pairwise(grey[1:])]
    return {
        "frames": torch.from_numpy(np.stack(images)),
        "known_mask": torch.from_numpy(np.ascontiguousarray(known_mask))[None],
        "guide": torch.from_numpy(_guide(sequence, recipe, corruption, grey[1], rng))[None],
        "flows": torch.from_numpy(np.stack([_shares(flow) for flow in flows])),
        "target": torch.from_numpy(np.stack([frame.mask for frame in frames])),
        "void": torch.from_numpy(np.stack([frame.void for frame in frames])),
    }


def _guide(
    sequence: FrameSequence,
    recipe: SequenceRecipe,
    corruption: MaskCorruption,
    grey: np.ndarray,
    rng: np.random.Generator,
) -> FloatArray:
    first, before = sequence.frames[0], sequence.before
    guess = first.mask.astype(np.float32)
    if not first.mask.any():
        # nothing is known of where a lost object is, see `warped_guide`
        return np.zeros_like(guess)
    if before is not None and rng.random() < recipe.warped:
        flow = backward_flow(cv2.cvtColor(np.ascontiguousarray(before.image_rgb), cv2.COLOR_RGB2GRAY), grey)
        height, width = guess.shape
        map_x = flow[..., 0] + np.arange(width, dtype=np.float32)
        map_y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
        guess = cv2.remap(before.mask.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR)
    if rng.random() < recipe.correct:
        return np.asarray(2 * guess - 1, np.float32)
    return corrupt_guide(replace(first, mask=guess > 0.5), corruption, rng)


def _shares(flow: FloatArray) -> np.ndarray:
    height, width = flow.shape[:2]
    small = cv2.resize(flow, (width // _FLOW_STRIDE, height // _FLOW_STRIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray((small / (width, height)).transpose(2, 0, 1)).astype(np.float16)


def _crop_box(
    masks: Sequence[BoolArray], margin: float, size_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """x, y, width and height of a crop of the shape of `size_hw`, as far as the frame allows."""
    height, width = masks[0].shape
    x, y, box_w, box_h = cv2.boundingRect(np.logical_or.reduce(masks).view(np.uint8))
    aspect = size_hw[1] / size_hw[0]
    crop_w = max(margin * box_w, margin * box_h * aspect, 0.25 * width, 0.25 * height * aspect)
    crop_w *= min(1.0, width / crop_w, height * aspect / crop_w)
    crop_h = crop_w / aspect
    # all of the object is seen, be it squashed
    crop_w, crop_h = max(crop_w, min(width, 1.15 * box_w)), max(crop_h, min(height, 1.15 * box_h))
    away = rng.normal(0, 0.08, 2) * (margin - 1) / margin
    left = np.clip(x + box_w / 2 - crop_w * (0.5 + away[0]), 0, width - crop_w)
    top = np.clip(y + box_h / 2 - crop_h * (0.5 + away[1]), 0, height - crop_h)
    return int(left), int(top), max(16, int(crop_w)), max(16, int(crop_h))


def _crop(example: Example, box: tuple[int, int, int, int], size_hw: tuple[int, int], flipped: bool) -> Frame:
    left, top, crop_w, crop_h = box
    rows, columns = slice(top, top + crop_h), slice(left, left + crop_w)
    smaller = crop_w * crop_h > size_hw[0] * size_hw[1]

    def resized(values: np.ndarray, interpolation: int) -> np.ndarray:
        part = np.ascontiguousarray(values[rows, columns])
        whole = cv2.resize(part, (size_hw[1], size_hw[0]), interpolation=interpolation)
        return np.ascontiguousarray(whole[:, ::-1] if flipped else whole)

    image = resized(example.image_rgb, cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    mask = resized(example.mask.astype(np.float32), cv2.INTER_AREA if smaller else cv2.INTER_LINEAR) > 0.5
    void = resized(example.void.view(np.uint8), cv2.INTER_NEAREST) > 0
    nothing = np.zeros(size_hw, dtype=bool)
    return Frame(np.asarray(image, np.uint8), mask, void & ~mask, nothing)
