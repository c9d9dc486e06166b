"""`dextr-vos lock`: a mask of a run is good as it is."""

from contextlib import nullcontext
from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import PATH


@click.command(short_help="Keep masks of a run as they are.")
@click.argument("run", type=PATH, metavar="RUN")
@click.argument("frames", metavar="FRAMES")
@click.option(
    "--keyframes",
    type=PATH,
    metavar="MASKS",
    help="The workspace or folder of keyframe masks that RUN was made from; not needed where RUN is a "
    "workspace.",
)
def command(run: Path, frames: str, keyframes: Path | None) -> None:
    """Make masks of RUN keyframes, so that no later run changes them.

    RUN is the --out folder of propagate, or a workspace. FRAMES are indices or names, like 40,41 or 00040.

    The next propagate learns from them, too, and masks beside them follow from them. To unlock a frame,
    delete its mask among the keyframes.
    """
    from dextr_vos.cli.workspaces import keyframes_of_run, run_folder
    from dextr_vos.folder_lock import FolderLock
    from dextr_vos.frame_lists import parse_frames
    from dextr_vos.propagation.run import lock_frames
    from dextr_vos.run_files import RunPaths, read_confidence
    from dextr_vos.workspace import Workspace

    folder = run_folder(run)
    keyframes = keyframes_of_run(run, keyframes)
    all_names = list(read_confidence(RunPaths(folder).confidence))
    names = [all_names[index] for index in parse_frames(frames, all_names, folder)]
    with FolderLock(keyframes) if Workspace(keyframes).keyframes.is_dir() else nullcontext():
        locked = lock_frames(folder, names, keyframes)
    for path in locked:
        click.echo(path)
