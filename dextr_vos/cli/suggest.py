"""`dextr-vos suggest`: which frame of a run to annotate next."""

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from dextr_vos.cli.options import PATH

if TYPE_CHECKING:
    from dextr_vos.workspace import Workspace


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

    RUN is the --out folder of propagate, or a workspace, whose drafts count as annotated. Frames in which an
    object is lost come first; then what counts is how reliable each mask is, and how far it is from the
    annotated frames of the clip. Flashes are left out. The names go to
    standard output, one a line, the most useful first, and the reasons to standard error. Annotate these
    frames with dextr-vos annotate, then propagate again.
    """
    from dextr_vos.cli.workspaces import run_folder
    from dextr_vos.errors import InputError, counted
    from dextr_vos.propagation.suggest import suggest
    from dextr_vos.run_files import RunPaths, frame_confidence, keyframe_names, read_confidence, shot_names
    from dextr_vos.workspace import Workspace

    folder, workspace = RunPaths(run_folder(run)), Workspace(run)
    scores = read_confidence(folder.confidence)
    names = _names_of_clip(folder.record, workspace) or list(scores)
    doubts = [1 - frame_confidence(scores[name]) if name in scores else 0.0 for name in names]
    annotated = _annotated_names(workspace) if workspace.exists else keyframe_names(folder.record)
    places = {name: index for index, name in enumerate(names)}
    keyframes = [places[name] for name in annotated if name in places]
    if not keyframes:
        raise InputError(f"{folder.record} names no keyframe of its own frames; run propagate again")
    cuts, flashes = (
        [places[name] for name in found if name in places]
        for found in (shot_names(folder.record, "cuts"), shot_names(folder.record, "flashes"))
    )
    suggested = suggest(doubts, keyframes, count, cuts, flashes)
    for index in suggested:
        click.echo(names[index])
        confidence = 1 - doubts[index] if names[index] in scores else None
        click.echo(f"  {_reason(index, confidence, keyframes, cuts)}", err=True)
    if not suggested:
        others = " or a flash" if flashes else ""
        click.echo(f"every frame is annotated{others}; nothing to suggest", err=True)
    elif len(suggested) < count:
        left = counted(len(suggested), "frame")
        click.echo(f"only {left} left to suggest, of {count} asked for", err=True)


def _names_of_clip(record: Path, workspace: "Workspace") -> Sequence[str]:
    """Names of all frames, of which a run may have masks of a part; none where the clip is gone."""
    from dextr_vos.clip import open_clip
    from dextr_vos.errors import InputError
    from dextr_vos.run_files import RunClip, read_record

    try:
        if workspace.exists:
            return workspace.open_clip().names
        recorded = read_record(record).clip
        clip = open_clip(recorded.path)
        return clip.names if RunClip.of(clip).identity == recorded.identity else ()
    except (InputError, OSError):
        return ()


def _annotated_names(workspace: "Workspace") -> set[str]:
    """The keyframes of a workspace and its drafts, also those made since the run."""
    from dextr_vos.mask_file import mask_files

    return mask_files(workspace.keyframes).keys() | workspace.corrected_frames()


def _reason(index: int, confidence: float | None, keyframes: Sequence[int], cuts: Sequence[int]) -> str:
    """Why a frame is suggested."""
    from dextr_vos.errors import counted
    from dextr_vos.run_files import frame_state

    if bisect_right(cuts, index) not in {bisect_right(cuts, each) for each in keyframes}:
        return "lost: no frame of this shot is annotated"
    away = f"{counted(min(abs(index - each) for each in keyframes), 'frame')} away from an annotated one"
    if confidence is None:
        return f"no mask yet, {away}"
    state = frame_state(confidence)
    if state == "confident":
        return f"confidence {confidence:.2f}, {away}"
    return f"{state}: confidence {confidence:.2f}"
