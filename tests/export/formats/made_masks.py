"""A workspace with masks that are hard to keep: holes, parts, a pixel alone, objects that come and go."""

from pathlib import Path

import numpy as np

from dextr_vos.annotation.annotations import (
    Annotations,
    KeyframeClicks,
    ObjectClicks,
    ObjectEntry,
    save_annotations,
)
from dextr_vos.clip import open_clip
from dextr_vos.masks import write_labels
from dextr_vos.workspace import Workspace

NAMES = {1: "dog 1", 3: "Katze", 7: "dog 2"}
COLOURS = {1: "#102030", 3: "#a0b0c0", 7: "#ff0001"}
KEYFRAMES = ("00000", "00002", "00003")


def made_labels(index: int) -> np.ndarray:
    labels = np.zeros((48, 64), dtype=np.uint8)
    labels[4:24, 4 + index : 30 + index] = 1
    labels[8:14, 8 + index : 14 + index] = 0  # two holes
    labels[9:20, 18 + index : 24 + index] = 3  # an object in a hole
    labels[10, 10 + index] = 1  # a pixel alone in a hole
    if index != 1:
        labels[30:40, 2:9] = 7
        labels[40:44, 9:12] = 7  # joined at a corner only
        labels[30:33, 50:60] = 7  # a part on its own
    return labels


def write_workspace(clip: Path, folder: Path) -> Workspace:
    """A workspace of the tiny clip with three keyframes, and masks of all frames."""
    workspace = Workspace(folder)
    workspace.write_settings(open_clip(clip))
    for index in range(6):
        write_labels(workspace.run.masks / f"{index:05d}.png", made_labels(index))
    for name in KEYFRAMES:
        write_labels(workspace.keyframe(name), made_labels(int(name)))
    keyframes = {
        name: KeyframeClicks(objects={n: ObjectClicks(points=(), made_by="brush") for n in NAMES})
        for name in KEYFRAMES
    }
    entries = tuple(ObjectEntry(id=n, name=NAMES[n], colour=COLOURS[n]) for n in NAMES)
    save_annotations(workspace.annotations, Annotations(objects=entries, keyframes=keyframes))
    return workspace
