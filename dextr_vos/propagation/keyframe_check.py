"""A trained network on its own keyframes: what it remembers of them, and how well it repeats them."""

import numpy as np
import torch
from torch import nn

from dextr_vos.masks import VOID, Labels, object_ids
from dextr_vos.networks.lite_tracker import LiteTracker, Memory, join_memories
from dextr_vos.propagation.bidirectional import FramePrediction
from dextr_vos.propagation.clip_segmenter import masked_keyframe
from dextr_vos.propagation.keyframes import Keyframe
from dextr_vos.propagation.models import frame_labels, network_size
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.postprocess import finished_labels
from dextr_vos.propagation.tracker import MaskedFrame, Tracker

_KEYFRAMES_TO_CHECK = 10


def remembered(plan: Plan, network: nn.Module, device: torch.device) -> Memory | None:
    """What a network that follows knows of some keyframes, so that it can be applied to other clips."""
    if not isinstance(network, LiteTracker):
        return None
    every = -(-len(plan.keyframes) // plan.recipe.following.memories)
    tracker = _tracker(plan, network, device)
    seen = [seen_small(plan, keyframe) for keyframe in plan.keyframes[::every]]
    memories = [tracker.remember(tracker.known_view(one), one.probs) for one in seen]
    memory = join_memories([look for looks in memories for look in looks])
    return Memory(memory.keys.cpu(), memory.masks.cpu())


def seen_small(plan: Plan, keyframe: Keyframe) -> MaskedFrame:
    """A keyframe at the size at which masks are carried along."""
    size_hw = network_size(plan.clip.size_hw, plan.recipe.following.longest_side)
    return masked_keyframe(plan.clip.read(keyframe.index), keyframe.labels, plan.numbers, size_hw)


def _tracker(plan: Plan, network: LiteTracker, device: torch.device) -> Tracker:
    assert plan.recipe.longest_side is not None
    zoom = plan.recipe.following.zoom
    return Tracker(network, device, plan.model.bf16, zoom, plan.recipe.longest_side)


def _repeated(plan: Plan, keyframe: Keyframe, network: nn.Module, device: torch.device) -> Labels:
    """A keyframe segmented by the network, which is told no more than for other frames."""
    image_rgb = plan.clip.read(keyframe.index)
    if not isinstance(network, LiteTracker):
        return frame_labels(network, plan.model, plan.recipe.longest_side, plan.numbers, image_rgb, device)
    tracker, seen = _tracker(plan, network, device), seen_small(plan, keyframe)
    memory = tracker.remember(tracker.known_view(seen), seen.probs)
    probs = tracker.segment(tracker.view(None, seen.image_rgb, len(plan.numbers)), [memory])
    return finished_labels(
        FramePrediction(keyframe.index, image_rgb, probs, np.ones(1, np.float32)), plan.numbers
    )


def keyframe_iou(plan: Plan, network: nn.Module, device: torch.device) -> dict[int, float]:
    """Mean IoU of each object over some keyframes: what cannot repeat these is not to be trusted."""
    every = -(-len(plan.keyframes) // _KEYFRAMES_TO_CHECK)
    scores: dict[int, list[float]] = {number: [] for number in plan.numbers}
    for keyframe in plan.keyframes[::every]:
        labels = _repeated(plan, keyframe, network, device)
        for number in object_ids(keyframe.labels):
            truth, found = keyframe.labels == number, (labels == number) & (keyframe.labels != VOID)
            scores[number].append(float((truth & found).sum() / (truth | found).sum()))
    return {number: sum(values) / len(values) for number, values in scores.items() if values}
