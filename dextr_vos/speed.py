"""How fast the stages are on this machine: medians, measured one after the other in one run."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from dextr_vos.annotation.engines import make_segmenter
from dextr_vos.datasets.synthetic import Scene
from dextr_vos.geometry import extreme_points
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.propagation.fill import seen_keyframe
from dextr_vos.propagation.finetune import finetune
from dextr_vos.propagation.lessons import lessons_of
from dextr_vos.propagation.samples import Sample, network_size
from dextr_vos.propagation.tiers import LITE, build_network
from dextr_vos.propagation.tracker import Tracker

SIZE_HW = (480, 854)


@dataclass(frozen=True)
class Timing:
    """Seconds of one thing.

    Attributes:
        name: what was measured.
        median_s: of all runs but the first.
        least_s: the quickest.
        most_s: the slowest.
    """

    name: str
    median_s: float
    least_s: float
    most_s: float


def measure(
    device: torch.device, runs: int, on_run: Callable[[int, int], None] | None = None
) -> list[Timing]:
    """Time the lite tier on a rendered clip of 854×480 pixels.

    Args:
        device: where to compute.
        runs: how often each thing is done.
        on_run: called with runs done and in all.

    Returns:
        A mask from four clicks by lite DEXTR and by GrabCut, a frame followed by the lite network, a step
        of its fine-tuning, and one after a correction.
    """
    scene = Scene.make(SIZE_HW, 2, 0)
    (image, mask), (neighbour, _) = (scene.render(index) for index in (0, 1))
    points = extreme_points(mask)
    lite, grabcut = make_segmenter(device=str(device)), make_segmenter("grabcut")
    network = build_network(LITE, 1, 0, LITE.parent(None)).to(device).eval()
    recipe = LITE.recipe.limited_to(1)
    following = recipe.following
    small_hw = network_size(SIZE_HW, following.longest_side)
    labels = mask.astype("uint8")
    before, after = (seen_keyframe(each, labels, [1], small_hw) for each in (image, neighbour))
    assert isinstance(network, LiteTracker)
    assert recipe.longest_side is not None
    tracker = Tracker(network, device, LITE.half, following.zoom, recipe.longest_side)
    memory = [tracker.remember(tracker.known_view(before), before.probs)] * (1 + following.recent)
    sample = Sample(before.image_rgb, (before.probs[0] > 0.5).astype("uint8"))
    again = recipe.again()
    lessons, lessons_again = (lessons_of(LITE, each, [sample], [1], 0) for each in (recipe, again))
    things: list[tuple[str, Callable[[], object]]] = [
        ("mask from four clicks, lite DEXTR", lambda: lite.segment(image, [points])),
        ("mask from four clicks, GrabCut", lambda: grabcut.segment(image, [points])),
        ("frame followed, lite", lambda: tracker.segment(tracker.view(before, after.image_rgb, 1), memory)),
        ("step of fine-tuning, lite", lambda: finetune(network, LITE, recipe, lessons, device=device)),
        (
            "step after a correction, lite",
            lambda: finetune(network, LITE, again, lessons_again, device=device),
        ),
    ]
    timings = []
    for number, (name, thing) in enumerate(things):
        seconds = []
        for run in range(runs + 1):
            start = time.perf_counter()
            thing()
            seconds.append(time.perf_counter() - start)
            if on_run is not None:
                on_run(number * (runs + 1) + run + 1, len(things) * (runs + 1))
        warm = seconds[1:]
        timings.append(Timing(name, statistics.median(warm), min(warm), max(warm)))
    return timings
