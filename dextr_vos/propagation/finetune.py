"""Fine-tuning on keyframes (Caelles et al., CVPR 2017), until the loss converges or a limit is reached.

The losses are those of `batch_source`. An estimate of the time is measured on this machine, and a
recipe that fits into a given time is chosen by it.
"""

import copy
import io
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.files import atomic_path
from dextr_vos.networks.optim import Optimizer, rate_factor
from dextr_vos.propagation.batch_source import BatchSource
from dextr_vos.propagation.keyframes import AnnotatedClip
from dextr_vos.propagation.model import Model, Propagator
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks, Recipe
from dextr_vos.runtime import autocast

log = logging.getLogger(__name__)


SECONDS_BETWEEN_CHECKPOINTS = 20.0
# a budget leaves at least this share to fine-tuning, where a smaller input makes that possible
_LEAST_TRAINING = 0.4
_SMALLER_SIDES = (384, 320, 256)
_LEAST_SECONDS = 3.0  # of training; less than that changes nothing
_SLACK = 1.1  # reading frames, writing masks


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes:
        step: steps done.
        losses: of every step done.
        cooling_from: first step of the cool-down, None before it.
        cooldown: its length in steps.
        stop: "converged", "step limit" or "time limit", once the cool-down has begun.
        seconds: spent so far, interruptions left out.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    cooling_from: int | None = None
    cooldown: int = 0
    stop: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class TrainingCheckpoint:
    """Where an unfinished training is kept, and what it must have been started with to be continued."""

    path: Path
    fingerprint: str


def finetune(
    network: nn.Module,
    model: Model,
    recipe: Recipe,
    batches: BatchSource,
    device: torch.device,
    *,
    checkpoint: TrainingCheckpoint | None = None,
    time_limit_s: float | None = None,
    callbacks: Callbacks = NO_CALLBACKS,
) -> TrainingState:
    """Fine-tune a network for the objects of one clip.

    Args:
        network: changed in place.
        model: its model.
        recipe: how to train.
        batches: what it learns from.
        device: where to compute.
        checkpoint: the state is saved there now and then and when stopped, and continued from there.
        time_limit_s: seconds; None has no limit.
        callbacks: notified of each step, and asked between steps whether to stop.

    Returns:
        The final state; `stop` says why it ended.

    Raises:
        Interrupted: a stop was asked for; the checkpoint holds everything.
        InputError: the loss is no longer a number.
    """
    network.to(device).to(memory_format=model.memory_format(device)).train()
    batches.prepare(network, device, callbacks.stop_asked)
    optimizer = model.optimizer(network)
    rates = [group["lr"] for group in optimizer.param_groups]
    state = TrainingState()
    if checkpoint is not None:
        state = _resume(checkpoint, network, optimizer) or state
    started, saved = time.monotonic() - state.seconds, time.monotonic()
    while state.step < _last_step(state, recipe):
        if callbacks.stop_asked():
            if checkpoint is not None:
                _save(checkpoint, network, optimizer, state)
            raise Interrupted(f"stopped after {state.step} steps; the same command continues from there")
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * _rate_factor(state)
        _step(network, optimizer, model, recipe, batches, state, device)
        state.seconds = time.monotonic() - started
        _decide(state, recipe, time_limit_s)
        callbacks.on_step(state.step, _last_step(state, recipe), state.losses[-1])
        if checkpoint is not None and time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            _save(checkpoint, network, optimizer, state)
            saved = time.monotonic()
        if time_limit_s is not None and state.stop != "time limit" and state.seconds >= time_limit_s:
            # in a cool-down that began for another reason, and so was not made to fit
            state.stop = "time limit"
            break
    state.stop = state.stop or ("step limit" if time_limit_s is None else "time limit")
    return state


@torch.no_grad()
def interpolate_weights(network: nn.Module, before: Mapping[str, Tensor], alpha: float) -> None:
    """Interpolate between the weights before training and those after it, see `Recipe.alpha`.

    Args:
        network: changed in place.
        before: its state when training began.
        alpha: in [0, 1]; 1 leaves the network as it is.
    """
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(before[key].to(tensor).lerp(tensor, alpha))


def _decide(state: TrainingState, recipe: Recipe, time_limit_s: float | None) -> None:
    """Begin the cool-down when the loss has converged, or when a limit leaves just room for it."""
    if state.cooling_from is not None:
        return
    if has_converged(state.losses, recipe.window, recipe.tolerance):
        state.stop, state.cooldown = "converged", recipe.cooldown
    elif state.step >= recipe.max_steps - recipe.cooldown:
        state.stop, state.cooldown = "step limit", recipe.cooldown
    elif time_limit_s is not None:
        cooldown = min(recipe.cooldown, state.step)
        if state.seconds * (1 + cooldown / state.step) >= time_limit_s:
            state.stop, state.cooldown = "time limit", cooldown
    if state.stop:
        state.cooling_from = state.step


def _last_step(state: TrainingState, recipe: Recipe) -> int:
    if state.cooling_from is None:
        return recipe.max_steps
    return min(recipe.max_steps, state.cooling_from + state.cooldown)


def _step(
    network: nn.Module,
    optimizer: Optimizer,
    model: Model,
    recipe: Recipe,
    batches: BatchSource,
    state: TrainingState,
    device: torch.device,
) -> None:
    """One optimizer step over the mean gradient of `recipe.accumulate_grad` batches; advances the state."""
    optimizer.zero_grad()
    total = 0.0
    for index in range(state.step * recipe.accumulate_grad, (state.step + 1) * recipe.accumulate_grad):
        batch = batches.batch(index)
        with autocast(device, model.bf16):
            logits = batches.logits(network, batch, device)
        loss = batches.loss(logits, batch) / recipe.accumulate_grad
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    optimizer.step()
    if not math.isfinite(total):
        raise InputError(
            f"training diverged, the loss of step {state.step + 1} is {total}; give another --seed, or "
            "another --parent if there is one"
        )
    state.losses.append(total)
    state.step += 1


def _save(
    checkpoint: TrainingCheckpoint, network: nn.Module, optimizer: Optimizer, state: TrainingState
) -> None:
    content = {
        "fingerprint": checkpoint.fingerprint,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "state": vars(state),
    }
    # by way of bytes, so that a full disk is an OSError like any other
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(checkpoint.path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _resume(checkpoint: TrainingCheckpoint, network: nn.Module, optimizer: Optimizer) -> TrainingState | None:
    if not checkpoint.path.exists():
        return None
    try:
        content: Any = torch.load(checkpoint.path, map_location="cpu", weights_only=True)
        fingerprint = content["fingerprint"]
        if fingerprint != checkpoint.fingerprint:
            log.info("keyframes or settings have changed since %s; training starts again", checkpoint.path)
            return None
        before = copy.deepcopy(network.state_dict()), copy.deepcopy(optimizer.state_dict())
        state = TrainingState(**content["state"])
    except Exception as error:  # whatever the reader stumbles over, the file is damaged
        log.warning("%s is damaged (%s); training starts again", checkpoint.path, type(error).__name__)
        return None
    try:
        network.load_state_dict(content["network"])
        optimizer.load_state_dict(content["optimizer"])
    except Exception as error:
        log.warning("%s is damaged (%s); training starts again", checkpoint.path, type(error).__name__)
        network.load_state_dict(before[0])
        optimizer.load_state_dict(before[1])
        return None
    log.info("continuing from step %d", state.step)
    return state


def has_converged(losses: Sequence[float], window: int, tolerance: float) -> bool:
    """Whether the loss has stopped falling.

    Args:
        losses: of every step so far.
        window: steps in each of the two stretches that are compared.
        tolerance: least share by which the mean of the last stretch must lie below that of the one before,
            for the loss to count as still falling.

    Returns:
        False as long as there are fewer than two windows.
    """
    if len(losses) < 2 * window:
        return False
    before = float(np.mean(losses[-2 * window : -window]))
    now = float(np.mean(losses[-window:]))
    return now >= (1 - tolerance) * before


def _rate_factor(state: TrainingState) -> float:
    """Factor on the learning rate: 1, then linearly down over the cool-down."""
    if state.cooling_from is None:
        return 1.0
    return rate_factor(state.step, "linear", state.cooling_from - 1, state.cooling_from + state.cooldown)


@dataclass(frozen=True)
class Estimate:
    """What a run takes.

    Attributes:
        steps: of fine-tuning, at most.
        step_s: seconds of each.
        frames: to segment; a frame that two passes go through counts twice.
        frame_s: seconds of each.
    """

    steps: int
    step_s: float
    frames: int
    frame_s: float

    @property
    def training_s(self) -> float:
        """Seconds of fine-tuning, at most."""
        return self.steps * self.step_s

    @property
    def segmenting_s(self) -> float:
        """Seconds of segmenting."""
        return _SLACK * self.frames * self.frame_s


def seconds_a_frame(network: nn.Module, propagator: Propagator, annotated: AnnotatedClip) -> float:
    """Seconds to segment one frame, measured.

    Args:
        network: changed to evaluation mode while it is measured.
        propagator: of the network.
        annotated: the clip and its keyframes.
    """
    training = network.training
    network.eval()
    index = next(iter(annotated.keyframes))
    seconds = seconds_of(lambda: propagator.segment_once(index))
    propagator.forget()
    network.train(training)
    return seconds


def seconds_a_step(
    network: nn.Module, model: Model, recipe: Recipe, batches: BatchSource, device: torch.device
) -> float:
    """Seconds of one step of fine-tuning, measured on one batch; the network learns nothing from it.

    Args:
        network: what is going to be trained.
        model: its model.
        recipe: how it is trained.
        batches: which are prepared.
        device: where to compute.
    """
    # a copy, so that no gradient stays behind
    network = copy.deepcopy(network).to(device).train()

    def step() -> None:
        batch = batches.batch(0)
        with autocast(device, model.bf16):
            logits = batches.logits(network, batch, device)
        batches.loss(logits, batch).backward()  # type: ignore[no-untyped-call]

    return seconds_of(step, runs=2) * recipe.accumulate_grad


def within_budget(
    recipe: Recipe, estimate: Estimate, budget_s: float, frame_s_at: Callable[[int], float]
) -> tuple[Recipe, Estimate, float]:
    """The recipe that gives the best masks in a given time, what it takes, and the seconds left to train.

    A smaller input where segmenting alone would take most of the time, and as many steps as still fit.

    Args:
        recipe: without limit.
        estimate: of it.
        budget_s: seconds in all.
        frame_s_at: gives the seconds of segmenting one frame at a longest side. They do not follow from its
            pixels: sides of crops come in steps, and some work has the size of the frame. A side that takes
            no less time than a larger one is passed over.
    """
    # of the steps that several keyframes allow, many are often not taken
    few = min(estimate.steps, recipe.steps_a_keyframe or estimate.steps)
    least_s = min(few * estimate.step_s, _LEAST_TRAINING * budget_s)
    for side in _SMALLER_SIDES:
        if recipe.longest_side is None or side >= recipe.longest_side:
            continue
        if estimate.segmenting_s + least_s <= budget_s:
            break
        frame_s = frame_s_at(side)
        if frame_s < estimate.frame_s:
            estimate, recipe = replace(estimate, frame_s=frame_s), replace(recipe, longest_side=side)
    training_s = budget_s - estimate.segmenting_s
    if training_s < _LEAST_SECONDS:
        return recipe.limited_to(0), replace(estimate, steps=0), 0.0
    steps = min(estimate.steps, int(training_s / estimate.step_s))
    return recipe, replace(estimate, steps=steps), training_s


def seconds_of(work: Callable[[], object], runs: int = 3) -> float:
    """Least seconds of several runs of the same work."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
