"""The paper tier against the same networks run plainly: float32, default layout; in turn, in one run.

Plainly means true float32: left alone, PyTorch rounds what goes into convolutions to 10 bits on a GPU (TF32).
"""

import copy
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.annotation.click_crop import ClickCrop
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.propagation.samples import Sample
from dextr_vos.propagation.tiers import OSVOS
from dextr_vos.runtime import autocast, true_float32
from dextr_vos.speed.stages import Footage, osvos_network, precision_of, random_dextr
from dextr_vos.speed.timing import OnRun, Thing, timed


@dataclass(frozen=True)
class Against:
    """A network as this package runs it against the same run plainly.

    Attributes:
        name: what was run.
        precision: of ours.
        ours_s: median seconds.
        plain_s: likewise, run plainly.
        iou: between the masks of both; random weights have no threshold of their own, so it is the median
            of the plain logits, about which more pixels lie than about any trained one's.
    """

    name: str
    precision: str
    ours_s: float
    plain_s: float
    iou: float

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.plain_s / self.ours_s


def against_plain(
    footage: Footage, device: torch.device, runs: int, batch: int = 1, on_run: OnRun | None = None
) -> list[Against]:
    """ResNet-101 DEXTR on a batch of clicked objects, and a pass of OSVOS' online training.

    Args:
        footage: what is looked at.
        device: where.
        runs: how often each is timed.
        batch: objects that DEXTR sees at a time.
        on_run: called with runs done and in all.
    """
    pairs = [_dextr(footage, device, batch), _osvos(footage, device)]
    things = [thing for pair in pairs for thing in pair.things]
    timings = timed(things, runs, device, on_run)
    return [
        Against(
            pair.things[0].name,
            pair.things[0].precision,
            timings[2 * place].median_s,
            timings[2 * place + 1].median_s,
            _iou(pair.ours(), pair.plain()),
        )
        for place, pair in enumerate(pairs)
    ]


@dataclass(frozen=True)
class _Pair:
    """Ours and plain: both to time, and the logits of both."""

    things: tuple[Thing, Thing]
    ours_logits: list[Tensor]
    plain_logits: list[Tensor]

    def ours(self) -> Tensor:
        return self.ours_logits[-1]

    def plain(self) -> Tensor:
        return self.plain_logits[-1]


def _dextr(footage: Footage, device: torch.device, batch: int) -> _Pair:
    segmenter = random_dextr(device)
    network = segmenter.network
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    crop = ClickCrop().inputs(footage.image_rgb, footage.points_xy)
    inputs = torch.from_numpy(np.stack([crop] * batch)).permute(0, 3, 1, 2).to(device)
    contiguous = inputs.contiguous()
    ours_logits: list[Tensor] = []
    plain_logits: list[Tensor] = []

    @torch.inference_mode()
    def ours() -> None:
        with autocast(device):
            ours_logits[:] = [network(inputs)]

    @torch.inference_mode()
    def plainly() -> None:
        with true_float32():
            plain_logits[:] = [plain(contiguous)]

    name = f"ResNet-101 DEXTR, {batch} {'object' if batch == 1 else 'objects'}"
    things = (
        Thing("against plain", name, precision_of(device), ours),
        Thing("against plain", name, "fp32", plainly),
    )
    return _Pair(things, ours_logits, plain_logits)


def _osvos(footage: Footage, device: torch.device) -> _Pair:
    """Forward and backward pass on a whole frame, from the same weights every time."""
    from dextr_vos.propagation.lessons import lessons_of

    recipe = replace(OSVOS.recipe.limited_to(1), passes=1)
    lessons = lessons_of(OSVOS, recipe, [Sample(footage.image_rgb, footage.labels)], [1], 0)
    batch = lessons.draw(0)
    network = osvos_network(device).to(memory_format=OSVOS.layout(device)).train()
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    logits: dict[bool, list[Tensor]] = {True: [], False: []}

    def one_pass(which: nn.Module, half: bool) -> None:
        which.zero_grad(set_to_none=True)
        with nullcontext() if half else true_float32():
            with autocast(device, half):
                scores = lessons.scores(which, batch, device)
            lessons.loss(scores, batch).backward()  # type: ignore[no-untyped-call]
        logits[half][:] = [scores[-1].detach()]

    name = "OSVOS, pass of a step"
    things = (
        Thing("against plain", name, precision_of(device), lambda: one_pass(network, True)),
        Thing("against plain", name, "fp32", lambda: one_pass(plain, False)),
    )
    return _Pair(things, logits[True], logits[False])


def _iou(ours: Tensor, plain: Tensor) -> float:
    level = float(plain.float().median())
    masks = [
        np.asarray((each.float() > level).cpu().numpy()).reshape(-1, each.shape[-1]) for each in (plain, ours)
    ]
    return float(region_similarity(masks[0], masks[1]))
