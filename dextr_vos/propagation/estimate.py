"""How long a run will take, measured on this machine, and what fits into a given time."""

import copy
import time
from dataclasses import dataclass, replace

import torch
from torch import nn

from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.propagation.batch_source import BatchSource
from dextr_vos.propagation.models import Model, object_probs
from dextr_vos.propagation.settings import Recipe
from dextr_vos.propagation.tracker import MaskedFrame, Tracker
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
        alone: frames that a network which sees frames alone segments beside those.
        alone_s: seconds of each.
    """

    steps: int
    step_s: float
    frames: int
    frame_s: float
    alone: int = 0
    alone_s: float = 0.0

    @property
    def training_s(self) -> float:
        """Seconds of fine-tuning, at most."""
        return self.steps * self.step_s

    @property
    def segmenting_s(self) -> float:
        """Seconds of segmenting."""
        return _SLACK * (self.frames * self.frame_s + self.alone * self.alone_s)


def seconds_a_frame(
    network: nn.Module, model: Model, recipe: Recipe, seen: MaskedFrame, device: torch.device
) -> float:
    """Seconds to segment one frame, measured.

    Args:
        network: changed to evaluation mode and to `device`.
        model: its kind.
        recipe: how frames are looked at.
        seen: a keyframe at the size at which the network gets frames.
        device: where to compute.
    """
    network.to(device).eval()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        if isinstance(network, LiteTracker):
            assert recipe.longest_side is not None
            following = recipe.following
            tracker = Tracker(network, device, model.bf16, following.zoom, recipe.longest_side)
            memory = tracker.remember(tracker.known_view(seen), seen.probs)
            start = time.perf_counter()
            view = tracker.view(seen, seen.image_rgb, len(seen.probs))
            tracker.segment(view, [memory] * (1 + following.recent))
        else:
            object_probs(network, model, recipe.longest_side, seen.image_rgb, device)
        times.append(time.perf_counter() - start)
    return min(times)


def seconds_a_step(
    network: nn.Module, model: Model, recipe: Recipe, lessons: BatchSource, device: torch.device
) -> float:
    """Seconds of one step of fine-tuning, measured on one pass; the network learns nothing from it.

    Args:
        network: what is going to be trained.
        model: its kind.
        recipe: how it is trained.
        lessons: which have begun.
        device: where to compute.
    """
    # a copy, since norms that are not frozen would follow what passes through them
    network = copy.deepcopy(network).to(device).train()
    times = []
    for _ in range(2):
        start = time.perf_counter()
        batch = lessons.draw(0)
        with autocast(device, model.bf16):
            scores = lessons.scores(network, batch, device)
        lessons.loss(scores, batch).backward()  # type: ignore[no-untyped-call]
        times.append(time.perf_counter() - start)
    return min(times) * recipe.passes


def within_budget(recipe: Recipe, estimate: Estimate, budget_s: float) -> tuple[Recipe, Estimate]:
    """The recipe that gives the best masks in a given time, and what it takes.

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
        if estimate.alone:  # the network beside it sees what it saw
            estimate = replace(estimate, alone_s=estimate.alone_s * smaller)
        else:
            estimate = replace(estimate, frame_s=estimate.frame_s * smaller)
        recipe = replace(recipe, longest_side=side)
    training_s = budget_s - estimate.segmenting_s
    if training_s < _LEAST_SECONDS:
        return replace(recipe.limited_to(0), seconds=0.0), replace(estimate, steps=0)
    steps = min(estimate.steps, int(training_s / estimate.step_s))
    return replace(recipe, seconds=training_s), replace(estimate, steps=steps)
