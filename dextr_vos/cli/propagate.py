"""`dextr-vos propagate`: masks of keyframes to a network and the masks of every frame."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from dextr_vos.cli.options import (
    DIRECTIONS,
    PATH,
    PROPAGATION_MODELS,
    device_option,
    out_option,
    seed_option,
    settings_argument,
)

if TYPE_CHECKING:
    from dextr_vos.cli.progress import Report
    from dextr_vos.interrupt import StopAsked
    from dextr_vos.propagation.finetune import Estimate
    from dextr_vos.propagation.keyframes import Direction
    from dextr_vos.run_files import RunPaths, RunRecord, RunTraining


@dataclass(frozen=True)
class _Options:
    """The command line."""

    clip: Path
    keyframes: Path | None
    out: Path | None
    model: str
    parent: str | None
    device: str
    seed: int
    max_steps: int | None
    budget: float | None
    fresh: bool
    direction: "Direction"
    frames: str | None
    settings: tuple[str, ...]


@click.command(short_help="Propagate keyframe masks to every frame.")
@click.argument("clip", type=PATH, metavar="CLIP")
@settings_argument()
@click.option(
    "--keyframes",
    type=PATH,
    metavar="MASKS",
    help="A workspace, or a folder of mask PNGs named like their frames ({0, 255} or indexed); not needed "
    "where CLIP is a workspace.",
)
@out_option(
    "Run folder, new or existing; by default the one inside the workspace.",
    "RUN",
    required=False,
)
@click.option(
    "--model",
    type=click.Choice(PROPAGATION_MODELS),
    default="lite",
    show_default=True,
    help="lite: small and quick, with shipped weights. paper: OSVOS (VGG-16) as published, needs --parent.",
)
@click.option(
    "--parent",
    metavar="FILE|none",
    help="Checkpoint to start from, see docs/checkpoints.md; none: random weights, which need --max-steps 60 "
    "or more. lite ships with its own.",
)
@device_option()
@seed_option("The same seed gives the same masks on the CPU.")
@click.option(
    "--max-steps", type=click.IntRange(min=1), help="Maximum number of steps; overrides the model's."
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Make the best masks possible within this time on this machine.",
)
@click.option(
    "--fresh", is_flag=True, help="Start again, not from the network that the last run left in RUN."
)
@click.option(
    "--direction",
    type=click.Choice(DIRECTIONS),
    default="both",
    show_default=True,
    help="forward: from each keyframe only to later frames, up to the next keyframe; backward: to "
    "earlier frames.",
)
@click.option(
    "--frames",
    metavar="LIST",
    help="Make masks of these frames only, as 10-20 or 00010-00020,last; the others stay as they are in RUN.",
)
def command(**given: Any) -> None:
    """Fine-tune a network on every keyframe of CLIP, then segment all its frames.

    CLIP is a folder of images, a video file, or a workspace, which knows its clip and its keyframes.

    Masks land in RUN/masks/<frame>.png; keyframes keep the masks they were given. After Ctrl-C
    the same command resumes.

    After a correction, run the same command again: it continues from the network in RUN, takes fewer steps,
    and changes only the frames up to the next keyframe on either side.

    KEY=VALUE changes the recipe, whose keys docs/formats.md lists: batch=2 tracking.max_recent=5
    """
    _propagate(_Options(**given))


def _propagate(options: _Options) -> None:
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.cli.workspaces import clip_and_workspace, propagation_paths, show_drafts
    from dextr_vos.clip import parse_frames
    from dextr_vos.interrupt import interruptible
    from dextr_vos.pipeline import PropagationOptions, train_propagation
    from dextr_vos.propagation.settings import Callbacks
    from dextr_vos.run_files import RunPaths, read_confidence

    clip, workspace = clip_and_workspace(options.clip)
    keyframes, out = propagation_paths(workspace, options.keyframes, options.out)
    chosen = PropagationOptions(
        model=options.model,
        parent=options.parent,
        device=options.device,
        seed=options.seed,
        max_steps=options.max_steps,
        budget_s=options.budget,
        fresh=options.fresh,
        direction=options.direction,
        frames=None if options.frames is None else parse_frames(options.frames, clip.names, clip.path),
        settings=options.settings,
    )
    trained_before = _training_of(RunPaths(out))
    with interruptible() as stop_asked, progress_bars() as bar:
        callbacks = Callbacks(
            _show_estimate,
            bar("fine-tuning"),
            bar("segmenting"),
            stop_asked,
            _phase_bars(bar, stop_asked),
        )
        record = train_propagation(clip, keyframes, out, chosen, callbacks)
    _show_training(record.training, just_done=record.training != trained_before)
    paths = RunPaths(out)
    count = len(read_confidence(paths.confidence))
    of_all = "" if count == len(clip) else f" of {len(clip)}"
    click.echo(f"{count}{of_all} masks in {paths.masks}, {len(record.keyframes)} of them copied keyframes")
    _show_cuts(record, clip.names)
    show_drafts(keyframes)


def _phase_bars(bar: "Callable[[str], Report]", stop_asked: "StopAsked") -> Callable[[str, int, int], None]:
    """Bars of what comes before the first step, where Ctrl-C is heard, too."""
    from dextr_vos.errors import Interrupted

    bars = {"reading": bar("reading frames"), "encoding": bar("computing features")}

    def on_phase(phase: str, done: int, total: int) -> None:
        if phase in bars and stop_asked():
            raise Interrupted("stopped before the first step; the same command starts again")
        if phase in bars and total:
            bars[phase](done, total)

    return on_phase


def _show_cuts(record: "RunRecord", names: Sequence[str]) -> None:
    """Where the clip is cut, and what to do about it."""
    from dextr_vos.propagation.recipes import config_named, cuts_that_count

    if not record.cuts:
        return
    count, last = len(record.cuts), record.cuts[-1]
    places = f"frames {', '.join(record.cuts[:-1])} and {last}" if count > 1 else f"frame {last}"
    cuts, keyframes = ([names.index(name) for name in each] for each in (record.cuts, record.keyframes))
    all_annotated = len({bisect_right(cuts, keyframe) for keyframe in keyframes}) > count
    advice = "; objects are not tracked across a cut, annotate a frame of each shot"
    if all_annotated or not cuts_that_count(config_named(record.model), record.across_cuts, cuts):
        advice = ""
    click.echo(f"{count} {'cuts' if count > 1 else 'cut'}, before {places}{advice}")


def _show_estimate(estimate: "Estimate") -> None:
    """How long it will take, before it begins."""
    click.echo(
        f"about {estimate.training_s + estimate.segmenting_s:.0f} s: about {estimate.training_s:.0f} s of "
        f"fine-tuning ({estimate.steps} steps), {estimate.segmenting_s:.0f} s of segmenting",
        err=True,
    )


def _training_of(paths: "RunPaths") -> "RunTraining | None":
    """How the fine-tuning of the run that is here went."""
    from dextr_vos.errors import InputError
    from dextr_vos.run_files import read_record

    try:
        return read_record(paths.record).training
    except (InputError, OSError):
        return None  # there is none, or it is damaged, which is reported elsewhere


def _show_training(training: "RunTraining", just_done: bool) -> None:
    """Why it stopped, and how well the network repeats the keyframes.

    Args:
        training: how it went.
        just_done: and not by an earlier command.
    """
    from dextr_vos.run_files import POOR_IOU

    reasons = {
        "converged": "the loss has converged",
        "step limit": "the step limit was reached",
        "time limit": "the time was up",
    }
    click.echo(
        f"{'' if just_done else 'already '}fine-tuned in {training.steps} steps ({training.seconds:.0f} s): "
        f"{reasons[training.stop]}, at {training.loss:.3f}"
    )
    iou = training.keyframe_iou
    click.echo("on the keyframes: " + ", ".join(f"object {n} IoU {value:.2f}" for n, value in iou.items()))
    if iou and min(iou.values()) < POOR_IOU:
        click.echo(
            f"the network does not repeat the keyframes' masks (IoU under {POOR_IOU}), so expect poor masks "
            "elsewhere; annotate more frames, or leave out what is too small to learn",
            err=True,
        )
