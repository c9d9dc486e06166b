"""`dextr-vos suggest`: which frame of a run to annotate next."""

from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import PATH


@click.command(short_help="Which frame to annotate next.")
@click.argument("run", type=PATH, metavar="RUN")
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many frames, the most useful first.",
)
def command(run: Path, count: int) -> None:
    """Name the frame whose annotation would help the masks of RUN most.

    RUN is the --out folder of propagate, or a workspace. What counts is how reliable each mask is, and how
    far it is from the annotated frames. The names go to standard output, one a line, the most useful first.
    Annotate these frames with dextr-vos annotate, then propagate again.
    """
    from dextr_vos.cli.workspaces import run_folder
    from dextr_vos.errors import InputError
    from dextr_vos.propagation.suggest import suggest
    from dextr_vos.run_files import RunPaths, frame_confidence, keyframe_names, read_confidence
    from dextr_vos.workspace import Workspace

    folder, workspace = RunPaths(run_folder(run)), Workspace(run)
    scores = read_confidence(folder.confidence)
    names = list(scores)
    doubts = [1 - frame_confidence(of_frame) for of_frame in scores.values()]
    if workspace.exists:  # what was annotated since the run counts, too
        annotated = [file.stem for file in workspace.keyframe_files()]
    else:
        annotated = keyframe_names(folder.record)
    keyframes = [names.index(name) for name in annotated if name in scores]
    if not keyframes:
        raise InputError(f"{folder.record} names no keyframe of its own frames; run propagate again")
    for index in suggest(doubts, keyframes, count):
        click.echo(names[index])
        click.echo(f"  confidence {1 - doubts[index]:.2f}", err=True)
