"""A project of tiny clips, each with a keyframe."""

from pathlib import Path

from conftest import tiny_frame, tiny_mask
from PIL import Image

from dextr_vos.clip import open_clip
from dextr_vos.masks import write_labels
from dextr_vos.workspace import Workspace

# the shipped network in seconds; processes of workers have no other
QUICK = ("batch=1", "correction_steps=1", "longest_side=64")


def write_project(root: Path, *names: str, frames: int = 3) -> tuple[Path, Path]:
    """Clips of so many frames, each of which begins elsewhere, with their first masks as keyframes.

    Returns:
        The folder of the clips, and that of their workspaces.
    """
    for shift, name in enumerate(names):
        clip = root / "clips" / name
        clip.mkdir(parents=True)
        for index in range(frames):
            Image.fromarray(tiny_frame((index + shift) % 8)).save(clip / f"{index:05d}.png")
        workspace = Workspace(root / "work" / name)
        workspace.write_settings(open_clip(clip))
        write_labels(workspace.keyframe("00000"), tiny_mask(shift % 8))
    return root / "clips", root / "work"


def masks_of(workspace: Path) -> dict[str, bytes]:
    """The files of the masks of a run."""
    return {path.name: path.read_bytes() for path in sorted((workspace / "propagation" / "masks").iterdir())}
