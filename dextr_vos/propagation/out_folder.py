"""Folders that masks must not be written into: something would be lost, or they belong to something else."""

from pathlib import Path

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.run_files import RunClip, RunPaths, read_record
from dextr_vos.workspace import Workspace


def check_run_folder(run: RunPaths, clip: Clip, keyframe: Path | None) -> None:
    """Refuse a folder in which something would be lost, or that is no place for a run.

    Args:
        run: the folder's files; they need not exist.
        clip: that is propagated.
        keyframe: the mask of a keyframe; None where it is no file.

    Raises:
        InputError: it holds a run on another clip, masks of other origin, or the keyframes themselves, or is
            a workspace, in the workspace of another clip, the folder of the clip, or the one around it.
    """
    refuse_workspace(run.path, clip, "run folder", "propagation")
    folder = None if keyframe is None else keyframe.parent.resolve()
    if folder is not None and run.masks.resolve() in (folder, *folder.parents):
        raise InputError(
            f"the keyframes {folder} are in {run.masks}, which this run would replace; "
            "copy them to another folder"
        )
    around = Workspace(run.path.parent)
    if around.exists and around.run.path == run.path:
        around.check_clip(clip)
    if run.record.exists():
        _check_clip(run, clip)
    elif run.path.resolve() == clip.path.resolve():
        raise InputError(
            f"the run {run.path} is the clip's own folder, which would mix masks with its frames; "
            f"give another, such as work/{run.path.resolve().name}/propagation"
        )
    else:
        refuse_folder_of_clips(run.path, clip, "run folder")
        if run.masks.exists() and not run.network.exists():
            raise InputError(
                f"{run.masks} is there, and dextr-vos propagate did not make it but would replace it; "
                "give another --out folder"
            )


def _check_clip(run: RunPaths, clip: Clip) -> None:
    """Refuse the folder of a run on another clip, or on other frames of this one."""
    made_on, here = read_record(run.record).clip, RunClip.of(clip)
    if made_on.identity == here.identity:
        return
    if change := made_on.change_to(clip):
        raise InputError(
            f"the frames of {clip.path} have changed since the run {run.path} was made ({change}); "
            "restore them, or give another --out folder"
        )
    raise InputError(f"{run.path} holds a run on {made_on}, not on {here}; give another --out folder")


def refuse_workspace(out: Path, clip: Clip, kind: str, inside: str = "") -> None:
    """Refuse a workspace, beside whose annotations the masks would lie.

    Args:
        out: the folder to write into; it need not exist.
        clip: whose masks they are.
        kind: of folder that is expected.
        inside: the folder of a workspace that would do, where the workspace is one of this clip.

    Raises:
        InputError: it is a workspace.
    """
    workspace = Workspace(out)
    if not workspace.exists:
        return
    settings = workspace.read_settings_or_none()
    own = settings is not None and settings.identity == clip.identity
    place = out / inside if own and inside else Path("results") / _name(clip)
    raise InputError(f"{out} is a workspace; give a {kind}, such as {place}")


def refuse_folder_of_clips(out: Path, clip: Clip, kind: str) -> None:
    """Refuse the folder that a clip is in, where masks would lie among clips.

    Args:
        out: the folder to write into; it need not exist.
        clip: the clip; frames in memory are in no folder.
        kind: of folder that is expected.

    Raises:
        InputError: it is that folder.
    """
    if clip.path.exists() and out.resolve() == clip.path.resolve().parent:
        raise InputError(
            f"{out} is the folder that the clip {clip.path} is in; give a {kind}, such as "
            f"{Path('results') / _name(clip)}"
        )


def _name(clip: Clip) -> str:
    path = clip.path.resolve()
    return path.stem if path.is_file() else path.name
