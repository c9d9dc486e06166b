"""`dextr-vos train-propagation`: masks of keyframes to a network and the masks of every frame."""

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from dextr_vos.propagation.estimate import Estimate

POOR_IOU = 0.6


@click.command(short_help="Masks of keyframes to masks of every frame.")
@click.argument("clip", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--keyframes",
    required=True,
    type=click.Path(path_type=Path),
    help="A workspace, or a folder of mask PNGs named like their frames ({0, 255} or indexed).",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Folder of the run; may be there already.",
)
@click.option(
    "--network",
    type=click.Choice(["lite", "osvos"]),
    default="lite",
    show_default=True,
    help="lite: small and quick, with a trained start. osvos: VGG-16 as published, wants its --parent.",
)
@click.option(
    "--parent",
    metavar="FILE",
    help="Checkpoint to start from, see docs/checkpoints.md; none: random weights, which want --max-steps 60 "
    "or more. lite ships its own.",
)
@click.option(
    "--device", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda, cuda:1, mps."
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same masks on the CPU.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Step limit in place of the network's own.")
@click.option(
    "--budget",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="The best masks within this time, on this machine.",
)
@click.option("--fresh", is_flag=True, help="Begin anew, and not with the network the last run left in RUN.")
def command(
    clip: Path,
    keyframes: Path,
    out: Path,
    network: str,
    parent: str | None,
    device: str,
    seed: int,
    max_steps: int | None,
    budget: float | None,
    fresh: bool,
    settings: tuple[str, ...],
) -> None:
    """Fine-tune a network on every keyframe of CLIP, then segment all its frames.

    Masks land in RUN/masks/<frame>.png; the keyframes' own masks are copied there untouched. After Ctrl-C
    the same command goes on where it was.

    After a correction, run the same command again: it goes on from the network in RUN, takes seconds, and
    changes only the frames up to the next keyframe on either side.

    KEY=VALUE changes the recipe, whose keys are in RUN/run.json under settings: batch=2 scene.own=0.5
    """
    from dataclasses import replace

    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.clip import open_clip
    from dextr_vos.errors import InputError
    from dextr_vos.interrupt import interruptible
    from dextr_vos.pipeline import train_propagation
    from dextr_vos.propagation.models import model_named
    from dextr_vos.propagation.settings import changed
    from dextr_vos.runtime import pick_device

    if not 0 <= seed < 2**32:
        raise InputError(f"--seed is a whole number from 0 to {2**32 - 1}, got {seed}")
    opened = open_clip(clip)
    model = model_named(network)
    model = replace(model, recipe=changed(model.recipe, settings))
    with (
        interruptible() as stop_asked,
        progress_bars() as bar,
    ):
        record = train_propagation(
            opened,
            keyframes,
            out,
            model,
            device=pick_device(device),
            parent=model.parent(parent),
            seed=seed,
            max_steps=max_steps,
            budget_s=budget,
            fresh=fresh,
            on_plan=_tell,
            on_step=bar("fine-tuning"),
            on_frame=bar("segmenting"),
            stop_asked=stop_asked,
        )
    training = record.training
    reasons = {
        "settled": "the loss has settled",
        "step limit": "the step limit was reached",
        "time limit": "the time was up",
    }
    click.echo(
        f"fine-tuned in {training.steps} steps ({training.seconds:.0f} s): {reasons[training.stop]}, "
        f"at {training.loss:.3f}"
    )
    iou = training.keyframe_iou
    click.echo("on the keyframes: " + ", ".join(f"object {n} IoU {value:.2f}" for n, value in iou.items()))
    if iou and min(iou.values()) < POOR_IOU:
        click.echo(
            f"the network does not repeat the keyframes' masks (IoU under {POOR_IOU}), so expect poor masks "
            "elsewhere; annotate more frames, or leave out what is too small to learn",
            err=True,
        )
    click.echo(f"{len(opened)} masks in {out / 'masks'}, {len(record.keyframes)} of them copied keyframes")


def _tell(estimate: "Estimate") -> None:
    """How long it will take, before it begins."""
    click.echo(
        f"about {estimate.training_s + estimate.segmenting_s:.0f} s: at most {estimate.training_s:.0f} s of "
        f"fine-tuning ({estimate.steps} steps), {estimate.segmenting_s:.0f} s of segmenting",
        err=True,
    )
