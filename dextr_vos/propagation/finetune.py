"""Fine-tuning on a clip's keyframes until the loss has settled (OSVOS; Caelles et al., CVPR 2017)."""

import io
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.files import atomic_path
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.optim import rate_factor
from dextr_vos.propagation.batch_source import BatchSource
from dextr_vos.propagation.models import Model
from dextr_vos.propagation.settings import Recipe
from dextr_vos.runtime import autocast

log = logging.getLogger(__name__)

SECONDS_BETWEEN_CHECKPOINTS = 20.0

OnStep = Callable[[int, int, float], None]


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes:
        step: steps done.
        losses: of every step done.
        cooling_from: first step of the cool-down, None before it.
        cooldown: its length in steps.
        stop: "settled", "step limit" or "time limit" once the cool-down has begun.
        seconds: spent so far, interruptions left out.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    cooling_from: int | None = None
    cooldown: int = 0
    stop: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """Where an unfinished training is kept, and what it must have been started with to go on."""

    path: Path
    fingerprint: str


def finetune(
    network: nn.Module,
    model: Model,
    recipe: Recipe,
    lessons: BatchSource,
    *,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    on_step: OnStep | None = None,
    stop_asked: StopAsked = never,
) -> TrainingState:
    """Teach a network the objects of one clip.

    Args:
        network: changed in place.
        model: its kind.
        recipe: how to train.
        lessons: what it is taught.
        device: where to compute.
        checkpoint: the state is saved there from time to time and at a stop, and taken up from there.
        on_step: called after each step with steps done, steps expected in all, loss.
        stop_asked: asked between steps.

    Returns:
        The final state; `stop` says why it ended.

    Raises:
        Interrupted: a stop was asked for; the checkpoint holds everything.
        InputError: the loss is no longer a number.
    """
    network.to(device).to(memory_format=model.layout(device)).train()
    lessons.begin(network, device, stop_asked)
    optimizer = model.optimizer(network)
    rates = [group["lr"] for group in optimizer.param_groups]
    state = TrainingState()
    if checkpoint is not None:
        state = _resume(checkpoint, network, optimizer) or state
    started, saved = time.monotonic() - state.seconds, time.monotonic()
    while state.step < _last_step(state, recipe):
        if stop_asked():
            if checkpoint is not None:
                _save(checkpoint, network, optimizer, state)
            raise Interrupted(
                f"stopped after {state.step} steps, everything is kept; the same command goes on from there"
            )
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * _rate_factor(state)
        state.losses.append(_step(network, optimizer, model, recipe, lessons, state.step, device))
        if not math.isfinite(state.losses[-1]):
            raise InputError(
                f"training broke down, the loss of step {state.step + 1} is {state.losses[-1]}; "
                "give another --seed, or another --parent if there is one"
            )
        state.step += 1
        state.seconds = time.monotonic() - started
        _decide(state, recipe)
        if on_step is not None:
            on_step(state.step, _last_step(state, recipe), state.losses[-1])
        if checkpoint is not None and time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            _save(checkpoint, network, optimizer, state)
            saved = time.monotonic()
        if recipe.seconds is not None and state.stop != "time limit" and state.seconds >= recipe.seconds:
            # in a cool-down that began for another reason, and so was not made to fit
            state.stop = "time limit"
            break
    state.stop = state.stop or ("step limit" if recipe.seconds is None else "time limit")
    return state


@torch.no_grad()
def keep(network: nn.Module, before: Mapping[str, Tensor], share: float) -> None:
    """Take back what was learned but for a share of it, see `Recipe.kept`.

    Args:
        network: changed in place.
        before: its state when training began.
        share: in [0, 1]; 1 leaves the network as it is.
    """
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(before[key].to(tensor).lerp(tensor, share))


def _decide(state: TrainingState, recipe: Recipe) -> None:
    """Begin the cool-down when the loss has settled, or when a limit leaves just room for it."""
    if state.cooling_from is not None:
        return
    if has_converged(state.losses, recipe.window, recipe.tolerance):
        state.stop, state.cooldown = "settled", recipe.cooldown
    elif state.step >= recipe.max_steps - recipe.cooldown:
        state.stop, state.cooldown = "step limit", recipe.cooldown
    elif recipe.seconds is not None:
        cooldown = min(recipe.cooldown, state.step)
        if state.seconds * (1 + cooldown / state.step) >= recipe.seconds:
            state.stop, state.cooldown = "time limit", cooldown
    if state.stop:
        state.cooling_from = state.step


def _last_step(state: TrainingState, recipe: Recipe) -> int:
    if state.cooling_from is None:
        return recipe.max_steps
    return min(recipe.max_steps, state.cooling_from + state.cooldown)


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    model: Model,
    recipe: Recipe,
    lessons: BatchSource,
    step: int,
    device: torch.device,
) -> float:
    """One step of the optimiser over the mean gradient of `recipe.passes` passes; the mean loss."""
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for number in range(step * recipe.passes, (step + 1) * recipe.passes):
        batch = lessons.draw(number)
        with autocast(device, model.bf16):
            scores = lessons.scores(network, batch, device)
        loss = lessons.loss(scores, batch) / recipe.passes
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    optimizer.step()
    return total


def _save(
    checkpoint: Checkpoint, network: nn.Module, optimizer: torch.optim.Optimizer, state: TrainingState
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


def _resume(
    checkpoint: Checkpoint, network: nn.Module, optimizer: torch.optim.Optimizer
) -> TrainingState | None:
    if not checkpoint.path.exists():
        return None
    try:
        content: Any = torch.load(checkpoint.path, map_location="cpu", weights_only=True)
        fingerprint = content["fingerprint"]
    except Exception as fault:  # whatever the reader stumbles over is the file's fault
        log.warning("%s is damaged (%s); training starts anew", checkpoint.path, type(fault).__name__)
        return None
    if fingerprint != checkpoint.fingerprint:
        log.info("keyframes or settings have changed since %s; training starts anew", checkpoint.path)
        return None
    network.load_state_dict(content["network"])
    optimizer.load_state_dict(content["optimizer"])
    state = TrainingState(**content["state"])
    log.info("going on from step %d", state.step)
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
