"""Masks of a run that are good as they are become keyframes."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path
from dextr_vos.propagation.keyframes import keyframe_folder
from dextr_vos.propagation.run import RunFolder


def lock_frames(run: Path, names: Sequence[str], keyframes: Path) -> list[Path]:
    """Copy masks of a run to its keyframes, all or none.

    Args:
        run: its folder.
        names: of the frames.
        keyframes: the workspace or folder of masks that the run was taught with.

    Returns:
        The new keyframes.

    Raises:
        InputError: a frame has no mask, or is a keyframe already; there is no such folder.
    """
    if not keyframes.is_dir():
        raise InputError(
            f"there is no workspace or folder of masks {keyframes}; give the one that {run} was taught with"
        )
    masks, folder = RunFolder(run).masks, keyframe_folder(keyframes)
    pairs = [(masks / f"{name}.png", folder / f"{name}.png") for name in dict.fromkeys(names)]
    for source, target in pairs:
        if not source.is_file():
            raise InputError(
                f"there is no mask {source}; give names of frames, like 00040, of a finished run"
            )
        if target.exists():
            raise InputError(f"{target} is a keyframe already, and stays as it is")
    for source, target in pairs:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    return [target for _, target in pairs]
