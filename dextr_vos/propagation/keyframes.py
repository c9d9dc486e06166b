"""Keyframe masks: what the network of stage 2 is taught with."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from dextr_vos.clip import Clip, natural_key
from dextr_vos.errors import InputError
from dextr_vos.masks import Labels, object_ids, read_labels
from dextr_vos.workspace import Workspace


@dataclass(frozen=True)
class Keyframe:
    """One annotated frame.

    Attributes:
        index: its place in the clip.
        name: its name.
        path: the mask file, copied untouched into the result.
        labels: H×W uint8.
    """

    index: int
    name: str
    path: Path
    labels: Labels


def read_keyframes(source: Path, clip: Clip) -> list[Keyframe]:
    """Read every keyframe mask of a workspace, or of any folder of PNGs named like their frames.

    Args:
        source: a workspace (its `keyframes/` is read) or a folder of masks, {0, 255} or indexed.
        clip: the clip they belong to.

    Returns:
        Keyframes by frame order, at least one, with at least one object among them.

    Raises:
        InputError: no masks, a mask that fits no frame or has another size, two masks of one frame, or no
            object in any.
    """
    folder = keyframe_folder(source)
    if not folder.is_dir():
        raise InputError(
            f"there are no keyframes {source}; expected a workspace (made by "
            "dextr-vos annotate) or a folder of mask PNGs"
        )
    files = sorted(
        (file for file in folder.iterdir() if file.suffix.lower() == ".png" and file.name[0] != "."),
        key=lambda file: natural_key(file.name),
    )
    if not files:
        raise InputError(
            f"the folder {folder} holds no mask PNGs; expected files named like the frames of {clip.path}, "
            f"such as {clip.names[0]}.png"
        )
    keyframes = [_read_one(file, clip) for file in files]
    if not object_numbers(keyframes):
        raise InputError(f"all {len(keyframes)} masks of {folder} are empty; mark an object in at least one")
    keyframes.sort(key=lambda keyframe: keyframe.index)
    for one, other in pairwise(keyframes):
        if one.index == other.index:
            raise InputError(
                f"{folder} holds two masks of the frame '{one.name}', {one.path.name} and {other.path.name}; "
                "keep one"
            )
    return keyframes


def keyframe_folder(source: Path) -> Path:
    """Where the masks of a workspace, or of a folder of masks, lie."""
    keyframes = Workspace(source).keyframes
    return keyframes if keyframes.is_dir() else source


def object_numbers(keyframes: Sequence[Keyframe]) -> list[int]:
    """Numbers of all objects that occur in any keyframe, ascending."""
    return sorted({number for keyframe in keyframes for number in object_ids(keyframe.labels)})


def digests(keyframes: Sequence[Keyframe], clip: Clip) -> dict[str, str]:
    """A digest of each keyframe's mask and picture, by its name."""
    return {
        keyframe.name: hashlib.sha256(
            np.ascontiguousarray(keyframe.labels).tobytes() + clip.read(keyframe.index).tobytes()
        ).hexdigest()
        for keyframe in keyframes
    }


def fingerprint(keyframes: Sequence[Keyframe]) -> str:
    """A digest that changes with any mask file or frame name."""
    digest = hashlib.sha256()
    for keyframe in keyframes:
        digest.update(f"{keyframe.name};".encode())
        digest.update(keyframe.path.read_bytes())
    return digest.hexdigest()


def _read_one(file: Path, clip: Clip) -> Keyframe:
    try:
        index = clip.index_of(file.stem)
    except InputError as fault:
        raise InputError(f"the mask {file} belongs to no frame: {fault}") from None
    return Keyframe(index, file.stem, file, read_labels(file, clip.size_hw))
