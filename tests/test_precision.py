"""The automatic choice of precision leaves masks as float32 has them: IoU of at least 0.995."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_weights import set_golden_weights
from tiny_run import TINY_LITE, TINY_PAPER, train, write_keyframes

from dextr_vos import runtime
from dextr_vos.annotation.dextr import DextrSegmenter
from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.benchmark.speed.stages import SpeedInput, stage_workloads
from dextr_vos.datasets.davis import Davis
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.geometry import extreme_points
from dextr_vos.images import read_image
from dextr_vos.networks.dextr import Dextr, upsample_logits
from dextr_vos.propagation import models as models
from dextr_vos.propagation import tracker
from dextr_vos.propagation.models import LITE, PAPER

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
LEAST_IOU = 0.995


@pytest.fixture
def frames():
    return SpeedInput.rendered((480, 854))


def both(monkeypatch, result):
    """What a function gives in float32, and where bf16 is faster; this machine may not have it."""
    found = []
    for faster in (False, True):
        monkeypatch.setattr(runtime, "bf16_is_faster", lambda _, faster=faster: faster)
        found.append(np.asarray(result()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["blackswan", "bmx-trees", "dog", "libby"])
def test_lite_masks_from_clicks_are_alike(monkeypatch, davis_root, clip):
    davis = Davis(davis_root)
    image = read_image(davis.frame_paths(clip)[0])
    truth = davis.read_annotation(davis.annotation_paths(clip)[0]) == 1

    def mask():
        segmenter = load_segmenter("lite", device="cpu")  # one that has no maps of the frame yet
        return segmenter.probabilities(image, [extreme_points(truth)])[0]

    one, other = both(monkeypatch, mask)
    assert (one != other).any()
    assert region_similarity(one > 0.5, other > 0.5) >= LEAST_IOU


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["blackswan", "bmx-trees", "dog", "libby"])
def test_lite_follows_alike(monkeypatch, davis_root, clip):
    davis = Davis(davis_root)
    first, second = (read_image(path) for path in davis.frame_paths(clip)[:2])
    labels = davis.read_annotation(davis.annotation_paths(clip)[0])
    frames = SpeedInput(first, second, labels, extreme_points(labels == 1))

    def segmented():
        workloads = stage_workloads("lite", frames, CPU)
        return next(one for one in workloads if one.part == "segmenting a frame").run()

    one, other = both(monkeypatch, segmented)
    assert (one != other).any()
    assert region_similarity(one[0] > 0.5, other[0] > 0.5) >= LEAST_IOU


@pytest.mark.slow
def test_the_published_dextr_gives_the_same_masks(monkeypatch, frames):
    network = Dextr(blocks=(1, 1, 2, 1))
    set_golden_weights(network)
    crop = ClickCrop(size_px=256)
    inputs = crop.inputs(frames.image_rgb, frames.points_xy)[None]
    segmenter = DextrSegmenter(network, CPU, crop, bf16=True)
    # random weights know no threshold: their own mean in the place of one, as in tests/golden
    monkeypatch.setattr(segmenter, "_probs", lambda tensor: _standardised(segmenter, tensor))
    one, other = both(monkeypatch, lambda: segmenter._forward(inputs)[0])
    assert (one != other).any()
    assert_alike(one - 0.5, other - 0.5, 0.02)


def assert_alike(one, other, band):
    """Masks of values above 0 agree, values within `band` of it left out.

    A network with random weights is unsure everywhere, where a trained one is unsure at outlines.
    """
    sure = np.abs(one) > band
    assert sure.mean() > 0.9
    assert region_similarity((one > 0) & sure, (other > 0) & sure) >= LEAST_IOU


def _standardised(segmenter, tensor):
    with runtime.autocast(CPU, segmenter._bf16):
        logits = segmenter.network(tensor).float()
    return torch.sigmoid((upsample_logits(logits, (256, 256)) - logits.mean()) / logits.std())


@pytest.mark.slow
def test_osvos_gives_the_same_masks(monkeypatch):
    frames = SpeedInput.rendered((120, 214))
    network = PAPER.build(1).eval()
    set_golden_weights(network)

    def logits():
        probs = PAPER.segmenter(network, None, CPU).segment(frames.image_rgb)[0].astype(np.float64)
        values = np.log(np.clip(probs, 1e-30, 1)) - np.log1p(-np.clip(probs, 0, 1 - 1e-7))
        return (values - np.median(values)) / values.std()

    one, other = both(monkeypatch, logits)
    assert (one != other).any()
    assert_alike(one, other, 0.02)


@pytest.mark.parametrize(
    ("faster", "layout"), [(True, torch.channels_last), (False, torch.contiguous_format)]
)
def test_osvos_is_trained_in_the_layout_that_is_quicker(monkeypatch, faster, layout):
    monkeypatch.setattr(models, "bf16_is_faster", lambda _: faster)
    assert PAPER.memory_format(CPU) == layout
    assert LITE.memory_format(CPU) == torch.channels_last


@pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=lambda model: model.name)
@pytest.mark.parametrize("bf16", [False, True])
def test_a_run_computes_in_the_precision_that_was_asked_for_to_the_end(
    tiny_clip, tmp_path, monkeypatch, narrow_lite, narrow_osvos, model, bf16
):
    wanted = []
    monkeypatch.setattr(runtime, "bf16_is_faster", lambda _: True)
    plain = torch.autocast

    def noted(*arguments, enabled, **more):
        if "dtype" in more:  # the others are in the network, where fp32 is needed in any case
            wanted.append(enabled)
        return plain(*arguments, enabled=False, **more)

    monkeypatch.setattr(torch, "autocast", noted)
    monkeypatch.setattr(tracker, "cast_weights", lambda *_: None)  # where nothing is computed in bf16
    keyframes = write_keyframes(tmp_path / "keyframes", 0, 5)
    train(tiny_clip, keyframes, tmp_path / "run", replace(model, bf16=bf16))
    assert len(wanted) >= 10
    assert set(wanted) == {bf16}
