"""Where a command takes a workspace in place of what the workspace knows: its clip, keyframes and run."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from dextr_vos.clip import Clip
    from dextr_vos.run_files import RunClip
    from dextr_vos.workspace import Workspace


def clip_and_workspace(path: Path) -> tuple["Clip", "Workspace | None"]:
    """Open a clip, or the clip of a workspace.

    Raises:
        InputError: it is neither, or the clip of the workspace is gone.
    """
    from dextr_vos.clip import open_clip
    from dextr_vos.workspace import Workspace

    refuse_run(path)
    workspace = Workspace(path)
    return (workspace.open_clip(), workspace) if workspace.exists else (open_clip(path), None)


def refuse_run(path: Path) -> None:
    """Refuse a run in the place of a clip.

    Raises:
        InputError: it is one.
    """
    from dextr_vos.errors import InputError
    from dextr_vos.run_files import RunPaths
    from dextr_vos.workspace import Workspace

    if not RunPaths(path).record.is_file() or Workspace(path).exists:
        return
    which = f" {path.parent}" if Workspace(path.parent).exists else ""
    raise InputError(f"{path} is a run; give the clip or its workspace{which}")


def default_workspace(clip: Path) -> "Workspace":
    """The workspace of a clip when the command line names none: `work/NAME` in the current folder."""
    from dextr_vos.workspace import Workspace

    path = clip.resolve()
    return Workspace(Path("work") / (path.stem if path.is_file() else path.name))


def did_you_mean(path: Path) -> str:
    """The end of the sentence that refuses a clip: its workspace, if the default one is there."""
    workspace = default_workspace(path)
    settings = workspace.read_settings_or_none()
    if settings is None or Path(settings.clip) != path.resolve():
        return ""
    return f"; did you mean the workspace {workspace.path}?"


def run_folder(path: Path) -> Path:
    """The folder of a run: `path` itself, or the run inside the workspace `path`.

    Raises:
        InputError: there is no run.
    """
    from dextr_vos.errors import InputError
    from dextr_vos.workspace import find_run

    try:
        return find_run(path).path
    except InputError as error:
        raise InputError(f"{error}{did_you_mean(path)}") from None


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
    clip: Path, workspace: "Workspace | None", keyframes: Path | None, out: Path | None
) -> tuple[Path, Path]:
    """Where keyframes come from and where the run goes.

    Args:
        clip: as it was given.
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
            raise InputError(
                "give --keyframes, a workspace or a folder of masks, or a workspace as CLIP"
                + did_you_mean(clip)
            )
        keyframes = workspace.path
    if out is None:
        if not keyframes.exists():
            raise InputError(
                f"there is no folder {keyframes}; --keyframes takes a workspace or a folder of masks"
            )
        if not Workspace(keyframes).exists:
            raise InputError(f"give --out RUN, since {keyframes} is no workspace that could hold the run")
        out = Workspace(keyframes).run.path
    return keyframes, out


def refuse_masks_of_another_clip(masks: Path, clip: "Clip", given: Path) -> None:
    """Refuse the masks of a run or a workspace that was made of another clip, or of other frames of it.

    Args:
        masks: the run or workspace; a folder of masks knows nothing of its clip, and passes.
        clip: whose masks are wanted.
        given: what the command line calls it.

    Raises:
        InputError: they are of another clip.
    """
    from dextr_vos.errors import InputError

    made_of = next((each for each in _recorded_clips(masks) if each.identity != clip.identity), None)
    if made_of is None:
        return
    if change := made_of.change_to(clip):
        raise InputError(
            f"the frames of {given} have changed since the masks of {masks} were made ({change}); "
            "restore them, or make a new run of this clip"
        )
    raise InputError(f"{masks} holds masks of {made_of.path}, not of {given}; give the run of this clip")


def _recorded_clips(path: Path) -> "list[RunClip]":
    """Of which clips a workspace, and a run, say that they are; a record that is damaged says nothing."""
    from dextr_vos.errors import InputError
    from dextr_vos.run_files import RunPaths, read_record
    from dextr_vos.workspace import Workspace

    workspace = Workspace(path)
    settings = workspace.read_settings_or_none()
    record = (workspace.run if workspace.exists else RunPaths(path)).record
    recorded = [] if settings is None else [settings.made_for]
    with suppress(InputError, OSError):
        recorded.append(read_record(record).clip)
    return recorded


def show_drafts(path: Path) -> None:
    """Say which corrections of the page a command has left out; nothing where `path` is no workspace."""
    from dextr_vos.workspace import Workspace

    workspace = Workspace(path)
    if workspace.exists and (sentence := workspace.drafts_left_out()):
        click.echo(sentence, err=True)
