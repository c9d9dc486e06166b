"""`dextr-vos suggest`: which frame of a run to annotate next."""

from bisect import bisect_right
from collections.abc import Sequence
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

    RUN is the --out folder of propagate, or a workspace. Frames in which an object is lost come first; then
    what counts is how reliable each mask is, and how far it is from the annotated frames. The names go to
    standard output, one a line, the most useful first, and the reasons to standard error. Annotate these
    frames with dextr-vos annotate, then propagate again.
    """
    from dextr_vos.cli.workspaces import run_folder
    from dextr_vos.errors import InputError
    from dextr_vos.propagation.suggest import suggest
    from dextr_vos.run_files import (
        RunPaths,
        cut_names,
        frame_confidence,
        keyframe_names,
        read_confidence,
    )
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
    cuts = [names.index(name) for name in cut_names(folder.record) if name in scores]
    for index in suggest(doubts, keyframes, count, cuts):
        click.echo(names[index])
        click.echo(f"  {_reason(index, 1 - doubts[index], keyframes, cuts)}", err=True)


def _reason(index: int, confidence: float, keyframes: Sequence[int], cuts: Sequence[int]) -> str:
    """Why a frame is suggested."""
    from dextr_vos.run_files import frame_state

    if bisect_right(cuts, index) not in {bisect_right(cuts, each) for each in keyframes}:
        return "lost: no frame of this shot is annotated"
    state = frame_state(confidence)
    if state == "confident":
        away = min(abs(index - each) for each in keyframes)
        return f"confidence {confidence:.2f}, {away} frames away from an annotated one"
    return f"{state}: confidence {confidence:.2f}"
