"""Simulated clicks: extreme points of masks, with a seeded jitter in pixels (DEXTR, CVPR 2018)."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dextr_vos.annotation.annotations import Annotations, annotations_from
from dextr_vos.annotation.prompts import SHORTEST_BOX_PX, Prompt
from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.geometry import IntArray, box_around, box_size_hw, extreme_points
from dextr_vos.mask_file import find_mask_file
from dextr_vos.masks import Labels, object_ids, read_labels

log = logging.getLogger(__name__)


def simulate_clicks(
    clip: Clip, mask_folder: Path, indices: Sequence[int], jitter_px: int = 0, seed: int = 0
) -> Annotations:
    """Simulate four extreme clicks on each object of some frames.

    Args:
        clip: the clip.
        mask_folder: folder with `<frame>.png`, see `read_labels`.
        indices: frames to click on.
        jitter_px: each click is a random mask pixel within this distance of its side; 0 takes the median
            pixel of the extreme row or column.
        seed: of the jitter; a frame's clicks depend on the seed and the frame alone.

    Returns:
        The annotations; an object without pixels in a frame is left out there, and so, with a warning in the
        log, is one that is too small to click.

    Raises:
        InputError: a mask is missing, of another size, or none of them holds an object that can be clicked.
    """
    if not mask_folder.is_dir():
        raise InputError(f"there is no mask folder {mask_folder}; expected one with <frame>.png files")
    clicks: dict[str, dict[int, Prompt]] = {}
    for index in indices:
        name = clip.names[index]
        file = find_mask_file(mask_folder, name) or mask_folder / f"{name}.png"
        labels = read_labels(file, clip.size_hw)
        extremes = simulate_on(labels, jitter_px, np.random.default_rng((seed, index)))
        clicks[name] = {}
        for object_id, points in extremes.items():
            if min(box_size_hw(box_around(points))) < SHORTEST_BOX_PX:
                log.warning(
                    "object %d of frame '%s' is skipped: its clicks span less than %d×%d px",
                    *(object_id, name, SHORTEST_BOX_PX, SHORTEST_BOX_PX),
                )
            else:
                clicks[name][object_id] = Prompt(points)
    if not any(clicks.values()):
        frames = ", ".join(f"'{name}'" for name in clicks)
        raise InputError(
            f"the masks of {mask_folder} are empty in frames {frames}, or too small to click; choose frames "
            "with objects"
        )
    return annotations_from(clicks, origin="simulated")


def simulate_on(labels: Labels, jitter_px: int, rng: np.random.Generator) -> dict[int, IntArray]:
    """Four clicks for every object in one mask.

    Args:
        labels: H×W uint8.
        jitter_px: see `simulate_clicks`.
        rng: for the jitter.

    Returns:
        By object id 4×2 points: left, right, top, bottom.
    """
    return {
        object_id: extreme_points(labels == object_id, jitter_px, rng) for object_id in object_ids(labels)
    }
