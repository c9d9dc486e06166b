from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import GOLDEN, assert_golden, read_golden, set_golden_weights
from torch import Tensor, nn

from dextr_vos.annotation.dextr import DextrSegmenter
from dextr_vos.annotation.dextr_input import ClickCrop, gaussian_heatmap
from dextr_vos.images import read_image
from dextr_vos.networks.dextr import Dextr, Head

CASES = ("inside", "touches_border", "tiny")


class Standardised(nn.Module):
    """A network whose logits are brought to zero mean and unit deviation, as the golden masks need."""

    def __init__(self, network: Dextr) -> None:
        super().__init__()
        self.network = network
        self.logits = torch.empty(0)  # the last ones, as the network gave them

    def forward(self, inputs: Tensor) -> Tensor:
        self.logits = logits = self.network(inputs)
        mean, std = logits.mean((1, 2, 3), keepdim=True), logits.std((1, 2, 3), keepdim=True)
        return (logits - mean) / std


def golden_frame(davis_root: Path, case: str) -> np.ndarray:
    facts = read_golden("dextr_forward.json")[case]
    return read_image(davis_root / "JPEGImages" / "480p" / facts["sequence"] / f"{facts['frame']:05d}.jpg")


@pytest.mark.parametrize("case", CASES)
def test_click_input_is_that_of_the_reference(davis_root: Path, case: str) -> None:
    facts = read_golden("dextr_forward.json")[case]
    points = np.array(facts["points_xy"])
    assert list(ClickCrop().box(points, (480, 854))) == facts["box_xyxy_inclusive"]
    image = ClickCrop().inputs(golden_frame(davis_root, case), points)
    assert image.shape == (512, 512, 4)
    golden = np.load(GOLDEN / "dextr_forward.npz")
    assert_golden(f"input, {case}", image[::8, ::8], golden[f"{case}/input_stride8"], 1e-3 / 255)
    assert_golden("channel means", image.mean((0, 1)), facts["input_channel_mean"], 1e-5)


@pytest.mark.parametrize(
    ("head", "case"),
    # each head and each place of the crop once: they do not depend on one another
    [("psp", "inside"), ("atrous", "touches_border"), pytest.param("psp", "tiny", marks=pytest.mark.slow)],
)
def test_logits_and_mask_are_those_of_the_reference(davis_root: Path, head: Head, case: str) -> None:
    network = Standardised(Dextr(head=head))
    set_golden_weights(network.network)
    segmenter = DextrSegmenter(network, torch.device("cpu"))
    golden, facts = np.load(GOLDEN / "dextr_forward.npz"), read_golden("dextr_forward.json")[case]
    (prob,) = segmenter.probabilities(golden_frame(davis_root, case), [np.array(facts["points_xy"])])
    assert_golden(f"{head} logits, {case}", network.logits[0, 0], golden[f"{case}/{head}/logits_64"])
    # ours is clipped to [0, 1]; the bicubic kernel of the reference overshoots
    expected = np.clip(golden[f"{case}/{head}/full_prob_stride4"], 0, 1)
    if facts[f"{head}_mask_area"]:
        assert_golden(f"{head} probability, {case}", prob[::4, ::4], expected)
    packed = golden[f"{case}/{head}/mask_packed"]
    mask = np.unpackbits(packed, count=prob.size).reshape(prob.shape).astype(bool)
    different = int(((prob > facts[f"{head}_threshold"]) != mask).sum())
    assert different <= 4, f"{different} pixels differ"
    assert mask.sum() == facts[f"{head}_mask_area"]


def test_heatmap_halves_at_half_its_width() -> None:
    heat = gaussian_heatmap([(20, 10)], (30, 40), fwhm_px=10)
    assert heat[10, 20] == 255
    assert heat[10, 25] == pytest.approx(127.5, rel=0.01)
    assert heat[15, 20] == pytest.approx(127.5, rel=0.01)
    assert heat.min() == 0


def test_heatmap_of_several_points_is_their_maximum() -> None:
    points = [(5, 5), (12, 9), (13, 9)]
    single = [gaussian_heatmap([point], (20, 20), 4) for point in points]
    assert np.abs(gaussian_heatmap(points, (20, 20), 4) - np.max(single, axis=0)).max() < 0.01


def test_mask_is_zero_outside_the_points_box() -> None:
    points = np.array([(2, 20), (45, 22), (20, 3), (22, 40)])
    prob = ClickCrop().paste_back(np.ones((512, 512), dtype=np.float32), points, (48, 64))
    assert prob[3:41, 2:46].min() == pytest.approx(1)
    prob[3:41, 2:46] = 0
    assert prob.max() == 0


class Counting(nn.Module):
    """Says how many objects came at once, and marks where the heat map is warm."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.batches.append(len(inputs))
        return inputs[:, 3:, ::8, ::8] - 127


def test_objects_go_through_in_batches_and_keep_their_order() -> None:
    network = Counting()
    segmenter = DextrSegmenter(network, torch.device("cpu"), batch_size=2)
    image = np.full((60, 80, 3), 90, dtype=np.uint8)
    boxes = [(5, 5), (40, 20), (20, 30)]
    objects = [np.array([(x, y + 9), (x + 18, y + 9), (x + 9, y), (x + 9, y + 18)]) for x, y in boxes]
    probs = segmenter.probabilities(image, objects)
    assert network.batches == [2, 1]
    for prob, points in zip(probs, objects, strict=True):
        rows, columns = np.nonzero(prob)
        assert columns.min() >= points[0, 0]
        assert columns.max() <= points[1, 0]
        assert rows.min() >= points[2, 1]
        assert rows.max() <= points[3, 1]
        assert prob.max() > 0.5
