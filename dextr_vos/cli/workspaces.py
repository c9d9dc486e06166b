"""Where a command takes a workspace in place of what the workspace knows: its clip, keyframes and run."""

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from dextr_vos.clip import Clip
    from dextr_vos.workspace import Workspace


def clip_and_workspace(path: Path) -> tuple["Clip", "Workspace | None"]:
    """Open a clip, or the clip of a workspace.

    Raises:
        InputError: it is neither, or the clip of the workspace is gone.
    """
    from dextr_vos.clip import open_clip
    from dextr_vos.workspace import Workspace

    workspace = Workspace(path)
    return (workspace.open_clip(), workspace) if workspace.exists else (open_clip(path), None)


def default_workspace(clip: "Clip") -> "Workspace":
    """The workspace of a clip when the command line names none: `work/NAME` in the current folder."""
    from dextr_vos.workspace import Workspace

    path = clip.path.resolve()
    return Workspace(Path("work") / (path.stem if path.is_file() else path.name))


def run_folder(path: Path) -> Path:
    """The folder of a run: `path` itself, or the run inside the workspace `path`.

    Raises:
        InputError: the workspace has no run yet.
    """
    from dextr_vos.errors import InputError
    from dextr_vos.workspace import Workspace

    workspace = Workspace(path)
    if not workspace.exists:
        return path
    if not workspace.run.path.is_dir():
        raise InputError(f"the workspace {path} has no run yet; make one with dextr-vos propagate {path}")
    return workspace.run.path


def keyframes_of_run(run: Path, keyframes: Path | None) -> Path:
    """The workspace or folder of keyframe masks that a run was made from.

    Args:
        run: the folder of a run, or a workspace.
        keyframes: of `--keyframes`.

    Raises:
        InputError: `--keyframes` is missing, and `run` is no workspace.
    """
    from dextr_vos.errors import InputError
    from dextr_vos.workspace import Workspace

    if keyframes is None and not Workspace(run).exists:
        raise InputError(
            f"give --keyframes, the workspace or folder of masks that {run} was made from, or a workspace "
            "as RUN"
        )
    return run if keyframes is None else keyframes


def propagation_paths(
    workspace: "Workspace | None", keyframes: Path | None, out: Path | None
) -> tuple[Path, Path]:
    """Where keyframes come from and where the run goes.

    Args:
        workspace: given in place of the clip.
        keyframes: of `--keyframes`, a workspace or a folder of masks.
        out: of `--out`.

    Returns:
        The workspace or folder of keyframes, and the folder of the run.

    Raises:
        InputError: the command line does not say so, and no workspace does.
    """
    from dextr_vos.errors import InputError
    from dextr_vos.workspace import Workspace

    if keyframes is None:
        if workspace is None:
            raise InputError("give --keyframes, a workspace or a folder of masks, or a workspace as CLIP")
        keyframes = workspace.path
    if out is None:
        if not Workspace(keyframes).exists:
            raise InputError(f"give --out RUN, since {keyframes} is no workspace that could hold the run")
        out = Workspace(keyframes).run.path
    return keyframes, out


def show_drafts(path: Path) -> None:
    """Say which corrections of the page a command has left out; nothing where `path` is no workspace."""
    from dextr_vos.workspace import Workspace

    workspace = Workspace(path)
    if workspace.exists and (sentence := workspace.drafts_left_out()):
        click.echo(sentence, err=True)
