"""The stages of both tiers on a rendered clip: masks from clicks, fine-tuning, segmenting."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from dextr_vos.annotation.dextr import DextrSegmenter
from dextr_vos.annotation.engines import make_segmenter
from dextr_vos.datasets.synthetic import Scene
from dextr_vos.geometry import IntArray, extreme_points
from dextr_vos.masks import Labels
from dextr_vos.networks.dextr import Dextr
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.pictures import ImageRgb
from dextr_vos.propagation.fill import seen_keyframe
from dextr_vos.propagation.finetune import finetune
from dextr_vos.propagation.lessons import lessons_of
from dextr_vos.propagation.recipe import Recipe
from dextr_vos.propagation.samples import Sample, network_size
from dextr_vos.propagation.segment import object_probs
from dextr_vos.propagation.tiers import LITE, OSVOS, Tier, build_network
from dextr_vos.propagation.tracker import Tracker
from dextr_vos.runtime import computes_faster_in_half
from dextr_vos.speed.timing import Thing

SIZE_HW = (480, 854)

TierName = Literal["lite", "paper"]


@dataclass(frozen=True)
class Footage:
    """What is measured on.

    Attributes:
        image_rgb: a frame, H×W×3 uint8.
        next_rgb: the one after it.
        labels: H×W uint8, the true mask of the first.
        points_xy: 4×2 clicks.
    """

    image_rgb: ImageRgb
    next_rgb: ImageRgb
    labels: Labels
    points_xy: IntArray

    @staticmethod
    def rendered(size_hw: tuple[int, int]) -> "Footage":
        """Two frames of a rendered scene."""
        scene = Scene.make(size_hw, 2, 0)
        (image, mask), (neighbour, _) = (scene.render(index) for index in (0, 1))
        return Footage(image, neighbour, mask.astype("uint8"), extreme_points(mask))


def stage_things(tier: TierName, footage: Footage, device: torch.device) -> list[Thing]:
    """What there is to time of a tier; the paper tier has random weights, which take as long as any."""
    return _lite_things(footage, device) if tier == "lite" else _paper_things(footage, device)


def precision_of(device: torch.device, half: bool = True) -> str:
    """What networks compute in that may compute in half precision."""
    return "bf16" if half and computes_faster_in_half(device) else "fp32"


def random_dextr(device: torch.device, half: bool = True) -> DextrSegmenter:
    """The published DEXTR (ResNet-101, PSP head) with random weights."""
    return DextrSegmenter(_seeded(Dextr), device, half=half)


def _lite_things(footage: Footage, device: torch.device) -> list[Thing]:
    lite, grabcut = make_segmenter(device=str(device)), make_segmenter("grabcut")
    network = build_network(LITE, 1, 0, LITE.parent(None)).to(device).eval()
    assert isinstance(network, LiteTracker)
    recipe = LITE.recipe.limited_to(1)
    following = recipe.following
    small_hw = network_size(footage.labels.shape, following.longest_side)
    before, after = (
        seen_keyframe(each, footage.labels, [1], small_hw) for each in (footage.image_rgb, footage.next_rgb)
    )
    assert recipe.longest_side is not None
    tracker = Tracker(network, device, LITE.half, following.zoom, recipe.longest_side)
    memory = [tracker.remember(tracker.known_view(before), before.probs)] * (1 + following.recent)
    sample = Sample(before.image_rgb, (before.probs[0] > 0.5).astype("uint8"))
    points, image, half = footage.points_xy, footage.image_rgb, precision_of(device)
    return [
        Thing("clicks to mask", "lite DEXTR", "fp32", lambda: lite.segment(image, [points])),
        Thing("clicks to mask", "GrabCut", "", lambda: grabcut.segment(image, [points])),
        Thing(
            "segmenting a frame",
            "lite",
            half,
            lambda: tracker.segment(tracker.view(before, after.image_rgb, 1), memory),
        ),
        Thing("fine-tuning step", "lite", half, _step(network, LITE, recipe, sample, device)),
        Thing(
            "fine-tuning step",
            "lite, after a correction",
            half,
            _step(network, LITE, recipe.again(), sample, device),
        ),
    ]


def _paper_things(footage: Footage, device: torch.device) -> list[Thing]:
    dextr, half = random_dextr(device), precision_of(device)
    network = osvos_network(device)
    # a step is five passes, all alike
    recipe = replace(OSVOS.recipe.limited_to(1), passes=1)
    sample = Sample(footage.image_rgb, footage.labels)
    points, image = footage.points_xy, footage.image_rgb
    return [
        Thing("clicks to mask", "ResNet-101 DEXTR", half, lambda: dextr.segment(image, [points])),
        Thing("segmenting a frame", "OSVOS", half, lambda: object_probs(network, OSVOS, None, image, device)),
        Thing(
            "fine-tuning pass", "OSVOS (a step has 5)", half, _step(network, OSVOS, recipe, sample, device)
        ),
    ]


def osvos_network(device: torch.device) -> nn.Module:
    """OSVOS with random weights, in the layout in which it is trained."""
    network = _seeded(lambda: OSVOS.build(1)).eval()
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _step(
    network: nn.Module, tier: Tier, recipe: Recipe, sample: Sample, device: torch.device
) -> Callable[[], object]:
    lessons = lessons_of(tier, recipe, [sample], [1], 0)
    return lambda: finetune(network, tier, recipe, lessons, device=device)


def _seeded(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()
