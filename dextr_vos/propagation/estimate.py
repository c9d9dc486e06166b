"""How long a run will take, measured on this machine, and what fits into a given time."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from dextr_vos.propagation.batch_source import BatchSource
from dextr_vos.propagation.keyframes import AnnotatedClip
from dextr_vos.propagation.model import Model, Propagator
from dextr_vos.propagation.settings import Recipe
from dextr_vos.propagation.single_frames import seconds_of
from dextr_vos.propagation.spans import spans_between
from dextr_vos.runtime import autocast

# a budget leaves at least this share to fine-tuning, where a smaller input makes that possible
_LEAST_TRAINING = 0.4
_SMALLER_SIDES = (384, 320, 256)
_LEAST_SECONDS = 3.0  # of training; less than that changes nothing
_SLACK = 1.1  # reading frames, writing masks


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


def frames_to_segment(propagator: Propagator, keyframes: Sequence[int], count: int) -> int:
    """Frames of a clip of `count` frames without a keyframe, each as often as there are passes through it."""
    return sum(
        (span.last + 1 - span.first) * propagator.passes(span) for span in spans_between(keyframes, count)
    )


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
    # a copy, since batch norms that are not frozen would follow what passes through them
    network = copy.deepcopy(network).to(device).train()

    def step() -> None:
        batch = batches.batch(0)
        with autocast(device, model.bf16):
            logits = batches.logits(network, batch, device)
        batches.loss(logits, batch).backward()  # type: ignore[no-untyped-call]

    return seconds_of(step, runs=2) * recipe.accumulate_grad


def within_budget(recipe: Recipe, estimate: Estimate, budget_s: float) -> tuple[Recipe, Estimate, float]:
    """The recipe that gives the best masks in a given time, what it takes, and the seconds left to train.

    A smaller input where segmenting alone would take most of the time, and as many steps as still fit.

    Args:
        recipe: without limit.
        estimate: of it.
        budget_s: seconds in all.
    """
    for side in _SMALLER_SIDES:
        if recipe.longest_side is None or side >= recipe.longest_side:
            continue
        if estimate.segmenting_s + min(estimate.training_s, _LEAST_TRAINING * budget_s) <= budget_s:
            break
        smaller = (side / recipe.longest_side) ** 2
        estimate = replace(estimate, frame_s=estimate.frame_s * smaller)
        recipe = replace(recipe, longest_side=side)
    training_s = budget_s - estimate.segmenting_s
    if training_s < _LEAST_SECONDS:
        return recipe.limited_to(0), replace(estimate, steps=0), 0.0
    steps = min(estimate.steps, int(training_s / estimate.step_s))
    return recipe, replace(estimate, steps=steps), training_s
