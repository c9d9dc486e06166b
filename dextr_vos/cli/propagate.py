"""`dextr-vos propagate`: masks of keyframes to a network and the masks of every frame."""

import logging
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from dextr_vos.cli.options import (
    DIRECTIONS,
    PATH,
    PROPAGATION_MODELS,
    device_option,
    given_options,
    out_option,
    project_options,
    seed_option,
    settings_argument,
)

if TYPE_CHECKING:
    from dextr_vos.cli.progress import Report
    from dextr_vos.interrupt import StopAsked
    from dextr_vos.pipeline import PropagationOptions
    from dextr_vos.propagation.finetune import Estimate
    from dextr_vos.propagation.keyframes import Direction
    from dextr_vos.run_files import RunPaths, RunRecord, RunTraining

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Options:
    """The command line."""

    clip: Path | None
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
    project: Path | None
    dry_run: bool
    workers: int | None
    threads: int
    scheduler: str | None
    gpu: bool


@click.command(short_help="Propagate keyframe masks to every frame.")
@click.argument("clip", required=False, type=PATH, metavar="[CLIP]")
@settings_argument()
@click.option(
    "--keyframes",
    type=PATH,
    metavar="MASKS",
    help="A workspace, or a folder of mask PNGs named like their frames ({0, 255} or indexed); not needed "
    "where CLIP is a workspace.",
)
@out_option(
    "Run folder, new or existing; by default the one inside the workspace. With --project: folder of the "
    "workspaces; by default work/NAME, after the name of FOLDER.",
    "RUN",
    required=False,
)
@click.option(
    "--model",
    type=click.Choice(PROPAGATION_MODELS),
    default="lite",
    show_default=True,
    help="lite: small and quick, with shipped weights. paper: OSVOS (VGG-16) as published; sam2: SAM 2, not "
    "fine-tuned; both need --parent.",
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
@project_options
def command(**given: Any) -> None:
    """Fine-tune a network on every keyframe of CLIP, then segment all its frames.

    CLIP is a folder of images, a video file, or a workspace, which knows its clip and its keyframes.

    Masks land in RUN/masks/<frame>.png; keyframes keep the masks they were given. After Ctrl-C
    the same command resumes.

    After a correction, run the same command again: it continues from the network in RUN, takes fewer steps,
    and changes only the frames up to the next keyframe on either side.

    With --project, all clips of a folder that have keyframes are propagated, several at a time. One that
    has not changed since is left alone, and one that fails stops no other.

    KEY=VALUE changes the recipe, whose keys docs/formats.md lists: batch=2 tracking.max_recent=5
    """
    options = _checked(_Options(**given))
    if options.project is not None:
        from dextr_vos.cli.propagate_project import Where, propagate_project

        where = Where(options.workers, options.threads, options.scheduler, options.gpu)
        propagate_project(options.project, options.out, _chosen(options), where, options.dry_run)
    else:
        _propagate(options)


def _checked(options: _Options) -> _Options:
    """Refuse options that contradict one another or would do nothing; CLIP may stand for a KEY=VALUE."""
    from dextr_vos.errors import ConfigError, InputError

    given = given_options()
    if options.project is None:
        if options.clip is None:
            raise InputError("give a CLIP or a workspace, or --project FOLDER for all clips of a folder")
        for name in ("dry_run", "workers", "threads", "scheduler", "gpu"):
            if name in given:
                raise ConfigError(f"--{name.replace('_', '-')} goes with --project FOLDER; leave it out")
        return options
    for name in ("keyframes", "frames"):
        if name in given:
            raise ConfigError(f"--{name} is for one clip, --project for many; leave one of them out")
    if options.scheduler is not None and options.workers is not None:
        raise ConfigError("--workers is for this machine, --scheduler for a cluster; leave one of them out")
    if options.scheduler is None and options.gpu:
        raise ConfigError("--gpu goes with --scheduler ADDRESS; the GPUs of this machine are used anyway")
    if options.clip is None:
        return options
    if "=" not in str(options.clip):
        raise ConfigError(f"give either the clip {options.clip} or --project {options.project}, not both")
    return replace(options, clip=None, settings=(str(options.clip), *options.settings))


def _chosen(options: _Options, frames: "Sequence[int] | None" = None) -> "PropagationOptions":
    """How to propagate."""
    from dextr_vos.pipeline import PropagationOptions

    return PropagationOptions(
        model=options.model,
        parent=options.parent,
        device=options.device,
        seed=options.seed,
        max_steps=options.max_steps,
        budget_s=options.budget,
        fresh=options.fresh,
        direction=options.direction,
        frames=frames,
        settings=options.settings,
    )


def _propagate(options: _Options) -> None:
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.cli.workspaces import clip_and_workspace, propagation_paths, refuse_run, show_drafts
    from dextr_vos.errors import InputError
    from dextr_vos.frame_lists import parse_frames
    from dextr_vos.interrupt import interruptible
    from dextr_vos.pipeline import train_propagation
    from dextr_vos.project.clips import is_project
    from dextr_vos.propagation.settings import Callbacks
    from dextr_vos.run_files import RunPaths

    assert options.clip is not None
    refuse_run(options.clip)  # it would look like a project whose one clip is the folder of its masks
    try:
        clip, workspace = clip_and_workspace(options.clip)
    except InputError as error:
        if not is_project(options.clip):
            raise
        raise InputError(f"{error}, or --project {options.clip}") from None
    keyframes, out = propagation_paths(options.clip, workspace, options.keyframes, options.out)
    frames = None if options.frames is None else parse_frames(options.frames, clip.names, clip.path)
    chosen = _chosen(options, frames)
    trained_before = _training_of(RunPaths(out))
    with interruptible() as stop_asked, progress_bars() as bar:
        # measuring takes as long as some of the lite model's steps, which are over in seconds
        callbacks = Callbacks(
            None if chosen.model == "lite" and options.budget is None else _show_estimate,
            bar("fine-tuning"),
            bar("segmenting, steps"),
            stop_asked,
            _phase_bars(bar, stop_asked),
        )
        record = train_propagation(clip, keyframes, out, chosen, callbacks)
    _show_training(record.training, just_done=record.training != trained_before)
    _show_masks(RunPaths(out), record, len(clip))
    _show_cuts(record, clip.names)
    show_drafts(keyframes)


def _show_masks(paths: "RunPaths", record: "RunRecord", frames: int) -> None:
    """How many masks there are, and where."""
    from dextr_vos.errors import counted
    from dextr_vos.run_files import read_confidence

    count, copied = len(read_confidence(paths.confidence)), len(record.keyframes)
    masks = counted(count, "mask") if count == frames else f"{count} of {counted(frames, 'mask')}"
    what = "a copied keyframe" if copied == 1 else "copied keyframes"
    click.echo(f"{masks} in {paths.masks}, {copied} of them {what}")


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
    from dextr_vos.errors import counted
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
    click.echo(f"{counted(count, 'cut')}, before {places}{advice}")


def _show_estimate(estimate: "Estimate") -> None:
    """How long it will take, before it begins."""
    from dextr_vos.errors import counted

    click.echo(
        f"about {estimate.training_s + estimate.segmenting_s:.0f} s: about {estimate.training_s:.0f} s of "
        f"fine-tuning ({counted(estimate.steps, 'step')}), {estimate.segmenting_s:.0f} s of segmenting",
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
    from dextr_vos.errors import counted
    from dextr_vos.run_files import POOR_IOU

    reasons = {
        "converged": ", until the loss had converged",
        "step limit": "",  # as planned
        "time limit": ", until the time was up",
    }
    how = f"{counted(training.steps, 'step')} ({training.seconds:.0f} s){reasons[training.stop]}"
    if training.steps:
        click.echo(f"{'' if just_done else 'already '}fine-tuned in {how}")
        log.debug("the loss of fine-tuning was %.3f at its end", training.loss)
    else:
        click.echo("not fine-tuned" + (", the time was up" if training.stop == "time limit" else ""))
    iou = training.keyframe_iou
    reproduced = ", ".join(f"object {n} with IoU {value:.2f}" for n, value in iou.items())
    click.echo(f"the network reproduces the keyframes: {reproduced}")
    if iou and min(iou.values()) < POOR_IOU:
        click.echo(
            f"the network does not reproduce the keyframes' masks (IoU under {POOR_IOU}), so expect poor "
            "masks elsewhere; annotate more frames, or leave out what is too small to learn",
            err=True,
        )
