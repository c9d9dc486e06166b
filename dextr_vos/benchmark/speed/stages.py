"""The stages of a model on a rendered clip: masks from clicks, fine-tuning, segmenting."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.annotation.dextr import DextrSegmenter
from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.annotation.prompts import Click, Prompt
from dextr_vos.annotation.sam import sam2_segmenter
from dextr_vos.annotation.segmenter import Segmenter, load_segmenter
from dextr_vos.benchmark.speed.timing import OnRun, Workload, time_workloads
from dextr_vos.clip import open_clip
from dextr_vos.datasets.synthetic import SyntheticClip
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.geometry import IntArray, extreme_points
from dextr_vos.images import ImageRgb
from dextr_vos.masks import Labels
from dextr_vos.networks.dextr import Dextr
from dextr_vos.networks.sam import load_sam2, random_sam2
from dextr_vos.propagation.bidirectional import masked_frame
from dextr_vos.propagation.finetune import finetune
from dextr_vos.propagation.keyframes import AnnotatedClip, keyframes_from_labels
from dextr_vos.propagation.model import Model
from dextr_vos.propagation.models import LITE, PAPER
from dextr_vos.propagation.sam2 import Sam2Propagator
from dextr_vos.propagation.settings import ModelName, Recipe
from dextr_vos.propagation.training_data import Sample, network_size
from dextr_vos.runtime import autocast, bf16_is_faster, true_float32

SIZE_HW = (480, 854)
_SAM2_FRAMES = 17  # of a clip in which SAM 2 remembers as many as it ever does


@dataclass(frozen=True)
class SpeedInput:
    """Frames and clicks to measure on.

    Attributes:
        image_rgb: a frame, H×W×3 uint8.
        next_rgb: the next frame.
        labels: H×W uint8, the true mask of the first frame.
        points_xy: 4×2 clicks.
    """

    image_rgb: ImageRgb
    next_rgb: ImageRgb
    labels: Labels
    points_xy: IntArray

    @staticmethod
    def rendered(size_hw: tuple[int, int]) -> "SpeedInput":
        """Two frames of a rendered scene."""
        scene = SyntheticClip.make(size_hw, 2, 0)
        (image, mask), (neighbour, _) = (scene.render(index) for index in (0, 1))
        return SpeedInput(image, neighbour, mask.astype("uint8"), extreme_points(mask))


def stage_workloads(
    model: ModelName, frames: SpeedInput, device: torch.device, sam2_weights: Path | None = None
) -> list[Workload]:
    """The workloads of a model.

    Args:
        model: lite, paper, which has random weights, or sam2; random weights take as long as any.
        frames: input of the networks.
        device: where to compute.
        sam2_weights: checkpoint of SAM 2; None for its smallest size with random weights.

    Raises:
        InputError: sam2 is not installed.
        WeightsError: the checkpoint is missing, broken or of another network.
    """
    if model == "sam2":
        network = (random_sam2() if sam2_weights is None else load_sam2(sam2_weights)).to(device)
        return _sam2_workloads(network, frames, device)
    return _lite_workloads(frames, device) if model == "lite" else _paper_workloads(frames, device)


def precision_of(device: torch.device, bf16: bool = True) -> str:
    """The precision of networks that may compute in bf16."""
    return "bf16" if bf16 and bf16_is_faster(device) else "fp32"


def random_dextr(device: torch.device, bf16: bool = True) -> DextrSegmenter:
    """The published DEXTR (ResNet-101, PSP head) with random weights."""
    return DextrSegmenter(_seeded(Dextr), device, bf16=bf16)


def _lite_workloads(frames: SpeedInput, device: torch.device) -> list[Workload]:
    lite, grabcut = load_segmenter(device=str(device)), load_segmenter("grabcut")
    network = LITE.start(1, 0, LITE.parent(None)).to(device).eval()
    recipe = LITE.recipe.limited_to(1)
    tracking = recipe.tracking
    small_hw = network_size(frames.labels.shape, tracking.longest_side)
    before, after = (
        masked_frame(each, frames.labels, [1], small_hw) for each in (frames.image_rgb, frames.next_rgb)
    )
    tracker = LITE.tracker(network, tracking, recipe.longest_side, device)
    memory = [tracker.memorize(tracker.encode_known(before), before.probs)] * (1 + tracking.max_recent)
    sample = Sample(before.image_rgb, (before.probs[0] > 0.5).byte().numpy())
    points, image, bf16 = frames.points_xy, frames.image_rgb, precision_of(device)
    corrector = load_segmenter(device=str(device))
    return [
        *_click_workloads("lite", (lite, corrector), frames, bf16),
        Workload("clicks to mask", "GrabCut", "", lambda: grabcut.probabilities(image, [points])),
        Workload(
            "segmenting a frame",
            "lite",
            bf16,
            lambda: tracker.segment(tracker.encode_next(before, after.image_rgb, 1), memory).probs.cpu(),
        ),
        Workload("fine-tuning step", "lite", bf16, _step(network, LITE, recipe, sample, device)),
        Workload(
            "fine-tuning step",
            "lite, after a correction",
            bf16,
            _step(network, LITE, recipe.for_correction(), sample, device),
        ),
    ]


def _paper_workloads(frames: SpeedInput, device: torch.device) -> list[Workload]:
    dextr, bf16 = random_dextr(device), precision_of(device)
    network = osvos_network(device)
    segmenter = PAPER.segmenter(network, None, device)
    # a step is five passes, all alike
    recipe = replace(PAPER.recipe.limited_to(1), accumulate_grad=1)
    sample = Sample(frames.image_rgb, frames.labels)
    points, image = frames.points_xy, frames.image_rgb
    return [
        Workload("clicks to mask", "ResNet-101 DEXTR", bf16, lambda: dextr.probabilities(image, [points])),
        Workload("segmenting a frame", "OSVOS", bf16, lambda: segmenter.segment(image)),
        Workload(
            "fine-tuning pass", "OSVOS (a step has 5)", bf16, _step(network, PAPER, recipe, sample, device)
        ),
    ]


def _sam2_workloads(network: nn.Module, frames: SpeedInput, device: torch.device) -> list[Workload]:
    bf16 = precision_of(device)
    clip = open_clip(np.stack([frames.image_rgb] * _SAM2_FRAMES))
    annotated = AnnotatedClip(clip, keyframes_from_labels({0: frames.labels}, clip))
    # its folder is for passes that go backward
    propagator = Sam2Propagator(annotated, network, device, True, False, Path(gettempdir()))
    return [
        *_click_workloads(
            "SAM 2", (sam2_segmenter(network, device), sam2_segmenter(network, device)), frames, bf16
        ),
        Workload("segmenting a frame", "SAM 2", bf16, lambda: propagator.segment_once(0)),
    ]


def _click_workloads(
    name: str, segmenters: tuple[Segmenter, Segmenter], frames: SpeedInput, precision: str
) -> list[Workload]:
    """Masks from clicks, and corrections by another segmenter: each keeps the maps of its last image."""
    first, corrector = segmenters
    points, images = frames.points_xy, cycle((frames.next_rgb, frames.image_rgb))
    x, y = points.mean(axis=0).round().astype(int).tolist()
    corrected = Prompt(points, (Click(x, y, True),), mask=(frames.labels == 1).astype(np.float32))
    return [
        Workload("clicks to mask", name, precision, lambda: first.probabilities(next(images), [points])),
        Workload(
            "correction of a mask", name, precision, lambda: corrector.prompted(frames.image_rgb, [corrected])
        ),
    ]


def osvos_network(device: torch.device) -> nn.Module:
    """OSVOS with random weights, in the layout in which it is trained."""
    network = _seeded(lambda: PAPER.build(1)).eval()
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _step(
    network: nn.Module, model: Model, recipe: Recipe, sample: Sample, device: torch.device
) -> Callable[[], object]:
    batches = model.batch_source(recipe, [sample], [1], 0)
    return lambda: finetune(network, model, recipe, batches, device)


def _seeded(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


@dataclass(frozen=True)
class PlainComparison:
    """A network as this package runs it, against the same network in float32 and the default layout.

    Attributes:
        name: of the network.
        precision: in which this package runs it.
        ours_s: median seconds as this package runs it.
        plain_s: median seconds in float32 and the default layout.
        iou: IoU of the masks of both. Random weights have no threshold of their own, so it is the median of
            the plain logits.
    """

    name: str
    precision: str
    ours_s: float
    plain_s: float
    iou: float

    @property
    def ratio(self) -> float:
        """Factor by which this package is faster."""
        return self.plain_s / self.ours_s


def compare_with_plain(
    frames: SpeedInput, device: torch.device, repeats: int, batch: int = 1, on_run: OnRun | None = None
) -> list[PlainComparison]:
    """Compare ResNet-101 DEXTR on a batch of clicked objects, and one pass of OSVOS' online training.

    Args:
        frames: input of the networks.
        device: where to compute.
        repeats: how often each is timed.
        batch: objects in a batch of DEXTR.
        on_run: called with runs done and in all.
    """
    pairs = [_dextr(frames, device, batch), _osvos(frames, device)]
    workloads = [workload for pair in pairs for workload in pair.workloads]
    timings = time_workloads(workloads, repeats, device, on_run)
    return [
        PlainComparison(
            pair.workloads[0].name,
            pair.workloads[0].precision,
            timings[2 * place].median_s,
            timings[2 * place + 1].median_s,
            _iou(pair.ours(), pair.plain()),
        )
        for place, pair in enumerate(pairs)
    ]


@dataclass(frozen=True)
class _Pair:
    """Both workloads, and the logits of both."""

    workloads: tuple[Workload, Workload]
    ours_logits: list[Tensor]
    plain_logits: list[Tensor]

    def ours(self) -> Tensor:
        return self.ours_logits[-1]

    def plain(self) -> Tensor:
        return self.plain_logits[-1]


def _dextr(frames: SpeedInput, device: torch.device, batch: int) -> _Pair:
    segmenter = random_dextr(device)
    network = segmenter.network
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    crop = ClickCrop().inputs(frames.image_rgb, frames.points_xy)
    inputs = torch.from_numpy(np.stack([crop] * batch)).permute(0, 3, 1, 2).to(device)
    contiguous = inputs.contiguous()
    ours_logits: list[Tensor] = []
    plain_logits: list[Tensor] = []

    @torch.inference_mode()
    def ours() -> None:
        with autocast(device):
            ours_logits[:] = [network(inputs)]

    @torch.inference_mode()
    def in_plain() -> None:
        with true_float32():
            plain_logits[:] = [plain(contiguous)]

    name = f"ResNet-101 DEXTR, {batch} {'object' if batch == 1 else 'objects'}"
    workloads = (
        Workload("against plain", name, precision_of(device), ours),
        Workload("against plain", name, "fp32", in_plain),
    )
    return _Pair(workloads, ours_logits, plain_logits)


def _osvos(frames: SpeedInput, device: torch.device) -> _Pair:
    """Forward and backward pass on a whole frame, from the same weights every time."""
    recipe = replace(PAPER.recipe.limited_to(1), accumulate_grad=1)
    batches = PAPER.batch_source(recipe, [Sample(frames.image_rgb, frames.labels)], [1], 0)
    batch = batches.batch(0)
    network = osvos_network(device).to(memory_format=PAPER.memory_format(device)).train()
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    logits: dict[bool, list[Tensor]] = {True: [], False: []}

    def one_pass(which: nn.Module, bf16: bool) -> None:
        which.zero_grad(set_to_none=True)
        with nullcontext() if bf16 else true_float32():
            with autocast(device, bf16):
                scores = batches.logits(which, batch, device)
            batches.loss(scores, batch).backward()  # type: ignore[no-untyped-call]
        logits[bf16][:] = [scores[-1].detach()]

    name = "OSVOS, pass of a step"
    workloads = (
        Workload("against plain", name, precision_of(device), lambda: one_pass(network, True)),
        Workload("against plain", name, "fp32", lambda: one_pass(plain, False)),
    )
    return _Pair(workloads, logits[True], logits[False])


def _iou(ours: Tensor, plain: Tensor) -> float:
    level = float(plain.float().median())
    masks = [
        np.asarray((each.float() > level).cpu().numpy()).reshape(-1, each.shape[-1]) for each in (plain, ours)
    ]
    return float(region_similarity(masks[0], masks[1]))
