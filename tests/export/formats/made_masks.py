"""A workspace with masks that are hard to keep: holes, parts, a pixel alone, objects that come and go."""

from pathlib import Path

import numpy as np
from PIL import Image

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


def project_labels(clip: int, index: int) -> np.ndarray:
    """Masks of odd sizes: frame 4 is empty, object 7 appears in frame 2, frame 5 has void pixels."""
    labels = np.pad(made_labels(index), ((0, 1 + 2 * clip), (0, 1)))
    labels[:] = 0 if index == 4 else labels
    if index < 2:
        labels[labels == 7] = 0
    if index == 5:
        labels[:3] = 255
    return labels


def write_project(folder: Path) -> list[Workspace]:
    """Workspaces of two clips of the same name, which has a space and an umlaut, like their frames."""
    workspaces = []
    for number, frame_name in enumerate(("Bild ä {:03d}.jpg", "{:05d}.png")):
        clip = folder / f"frames{number}" / "Köln Hund"
        clip.mkdir(parents=True)
        workspace = Workspace(folder / f"work{number}" / "Köln Hund")
        for index in range(6):
            labels = project_labels(number, index)
            image = np.random.default_rng(index).integers(0, 255, (*labels.shape, 3)).astype(np.uint8)
            Image.fromarray(image).save(clip / frame_name.format(index))
        names = open_clip(clip).names
        for index, name in enumerate(names):
            write_labels(workspace.run.masks / f"{name}.png", project_labels(number, index))
        workspace.write_settings(open_clip(clip))
        entries = tuple(ObjectEntry(id=n, name=NAMES[n], colour=COLOURS[n]) for n in NAMES)
        save_annotations(workspace.annotations, Annotations(objects=entries, keyframes={}))
        workspaces.append(workspace)
    return workspaces
