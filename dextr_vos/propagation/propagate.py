"""Stage 2 as a whole: keyframe masks in, a run with a network and the masks of every frame out."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from dextr_vos.errors import InputError
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.propagation.batch_source import BatchSource, batch_source
from dextr_vos.propagation.bidirectional import spans_between
from dextr_vos.propagation.clip_segmenter import ClipSegmenter, OnFrame, frames_to_segment
from dextr_vos.propagation.estimate import Estimate, seconds_a_frame, seconds_a_step, within_budget
from dextr_vos.propagation.finetune import Checkpoint, OnStep, finetune, keep
from dextr_vos.propagation.keyframe_check import keyframe_iou, remembered, seen_small
from dextr_vos.propagation.keyframes import digests
from dextr_vos.propagation.models import LITE, SHORTEST_SIDE, build_network
from dextr_vos.propagation.own_masks import companion
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.run import PendingRun, RunFolder
from dextr_vos.propagation.settings import Recipe
from dextr_vos.propagation.tracker import MaskedFrame
from dextr_vos.propagation.trained_network import load_network, save_network
from dextr_vos.propagation.training_data import read_samples
from dextr_vos.run_files import RunRecord

log = logging.getLogger(__name__)

OnPlan = Callable[[Estimate], None]


def propagate(
    plan: Plan,
    out: Path,
    *,
    device: torch.device,
    on_plan: OnPlan | None = None,
    on_step: OnStep | None = None,
    on_frame: OnFrame | None = None,
    stop_asked: StopAsked = never,
) -> RunRecord:
    """Fine-tune a network and segment every frame; what is done already and still valid is kept.

    Args:
        plan: what to do.
        out: the run's folder.
        device: where to compute.
        on_plan: called before the training with what is to be done and how long it will take.
        on_step: called with steps done, expected, and loss.
        on_frame: called with frames done and in all.
        stop_asked: asked between steps and frames.

    Raises:
        InputError: something would be lost in the folder, or another process works in it.
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for; the same call goes on from there.
    """
    run, mark = RunFolder(out), plan.fingerprint()
    log.debug(
        "%s on %s: %d keyframes, objects %s, fingerprint %s",
        plan.model.name,
        device,
        len(plan.keyframes),
        plan.numbers,
        mark[:16],
    )
    run.check(plan.clip, plan.keyframes[0].path.parent)
    if min(plan.clip.size_hw) < SHORTEST_SIDE:
        raise InputError(
            f"the frames of {plan.clip.path} are {plan.clip.size_hw[1]}×{plan.clip.size_hw[0]} pixels, "
            f"expected at least {SHORTEST_SIDE} a side"
        )
    if not run.path.exists():
        build_network(
            plan.model, len(plan.numbers), plan.seed, plan.parent
        )  # told before anything is written
    with run.claimed():
        run.recover()
        finished = run.finished()
        done = finished is not None and finished.fingerprint == mark
        if done and plan.fresh and finished is not None and finished.continued_from is not None:
            done = False
        if finished is not None and done and run.is_segmented(plan.clip):
            log.info("all masks are there already")
            run.sweep()
            return finished
        can_go_on = finished is not None and not plan.fresh and not done and _can_go_on(plan, finished)
        earlier = finished if can_go_on else None
        continued_from = finished.continued_from if finished is not None and done else None
        attempt = run.attempt(mark, continued_from if earlier is None else earlier.fingerprint)
        if done or attempt.is_trained():
            log.info("the network is trained already")
        else:
            attempt.clear()  # masks of another network
            _train(plan, run, attempt, earlier, device, on_plan, on_step, stop_asked)
        trained = load_network(run.network if done else attempt.network)
        kept = {} if earlier is None else run.kept_masks(earlier, trained.record, plan.clip)
        filler = ClipSegmenter(plan.clip, plan.keyframes, trained, plan.model, device, on_frame, stop_asked)
        filler.fill(attempt.masks, kept)
        run.finish(attempt, trained.record, plan.clip.names)
        return trained.record


def _train(
    plan: Plan,
    run: RunFolder,
    attempt: PendingRun,
    earlier: RunRecord | None,
    device: torch.device,
    on_plan: OnPlan | None,
    on_step: OnStep | None,
    stop_asked: StopAsked,
) -> None:
    """Fine-tune a network and save it, beginning with that of the earlier run where there is one."""
    if earlier is None:
        network, recipe = build_network(plan.model, len(plan.numbers), plan.seed, plan.parent), plan.recipe
        if plan.parent is None:
            recipe = replace(recipe, pool=0)  # an encoder that has learned nothing must learn, too
        if isinstance(network, LiteTracker) and not plan.encoder_learns:
            network.encoder.requires_grad_(False)
    else:
        log.info("going on from the network of the last run")
        network, recipe = load_network(run.network).network, plan.recipe.again()
        if isinstance(network, LiteTracker):
            network.freeze_norm()
    if plan.kept == 0:
        recipe = recipe.limited_to(0)
    before = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
    started = time.monotonic()
    lessons = _lessons(plan, recipe)
    lessons.begin(network.to(device).to(memory_format=plan.model.layout(device)), device, stop_asked)
    if on_plan is not None or plan.budget_s is not None:
        estimate = _estimate(plan, recipe, network, lessons, device)
        if plan.budget_s is not None:
            left_s = plan.budget_s - (time.monotonic() - started)
            recipe, estimate = within_budget(recipe, estimate, left_s)
        if on_plan is not None:
            on_plan(estimate)
    continued_from = None if earlier is None else earlier.fingerprint
    state = finetune(
        network,
        plan.model,
        recipe,
        lessons,
        device=device,
        checkpoint=Checkpoint(run.checkpoint, f"{plan.fingerprint()} {continued_from}"),
        on_step=on_step,
        stop_asked=stop_asked,
    )
    keep(network, before, plan.kept)
    trained = replace(plan, recipe=recipe)
    record = plan.record(recipe, state, keyframe_iou(trained, network.eval(), device), continued_from)
    save_network(attempt.network, network, record, remembered(trained, network, device))
    run.checkpoint.unlink(missing_ok=True)


def _lessons(plan: Plan, recipe: Recipe) -> BatchSource:
    side = recipe.following.longest_side if plan.model.follows else recipe.longest_side
    samples = read_samples(plan.clip, plan.keyframes, side)
    return batch_source(plan.model, recipe, samples, plan.numbers, plan.seed)


def _estimate(
    plan: Plan, recipe: Recipe, network: nn.Module, lessons: BatchSource, device: torch.device
) -> Estimate:
    step_s = seconds_a_step(network, plan.model, recipe, lessons, device)
    spans = spans_between([keyframe.index for keyframe in plan.keyframes], len(plan.clip))
    follows, small = plan.model.follows or plan.accompanied, seen_small(plan, plan.keyframes[0])
    passes = 2 if follows and recipe.following.both_ways else 1
    frames = sum(frames_to_segment(span, passes) for span in spans)
    if plan.model.follows:
        frame_s = seconds_a_frame(network, plan.model, recipe, small, device)
        return Estimate(recipe.max_steps, step_s, frames, frame_s)
    whole = MaskedFrame(plan.clip.read(plan.keyframes[0].index), small.probs)
    frame_s = seconds_a_frame(network, plan.model, recipe, whole, device)
    if not plan.accompanied:
        return Estimate(recipe.max_steps, step_s, frames, frame_s)
    beside, how = replace(LITE, bf16=plan.model.bf16), replace(LITE.recipe, following=recipe.following)
    beside_s = seconds_a_frame(companion(device), beside, how, small, device)
    alone = sum(frames_to_segment(span, 1) for span in spans)
    return Estimate(recipe.max_steps, step_s, frames, beside_s, alone, frame_s)


def _can_go_on(plan: Plan, earlier: RunRecord) -> bool:
    """Whether a correction is all that happened since an earlier run."""
    common = digests(plan.keyframes, plan.clip).items() & earlier.keyframe_digests.items()
    same_objects = plan.model.follows or [entry.id for entry in earlier.objects] == plan.numbers
    return earlier.base_fingerprint == plan.basis() and bool(common) and same_objects
