"""`dextr-vos lock`: a mask of a run is good as it is."""

from contextlib import nullcontext
from pathlib import Path

import rich_click as click


@click.command(short_help="Keep masks of a run as they are.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("frames", metavar="FRAMES")
@click.option(
    "--keyframes",
    required=True,
    type=click.Path(path_type=Path),
    help="The workspace or folder of masks that RUN was taught with.",
)
def command(run: Path, frames: str, keyframes: Path) -> None:
    """Make masks of RUN keyframes, FRAMES being names like 00040,00041: no later run changes them.

    The next train-propagation learns from them, too, and masks beside them follow from them. To unlock a
    frame, delete its mask among the keyframes.
    """
    from dextr_vos.folder_lock import locked_if_exists
    from dextr_vos.propagation.run import lock_frames
    from dextr_vos.workspace import Workspace

    names = [name.strip() for name in frames.split(",") if name.strip()]
    with locked_if_exists(keyframes) if Workspace(keyframes).keyframes.is_dir() else nullcontext():
        locked = lock_frames(run, names, keyframes)
    for path in locked:
        click.echo(path)
