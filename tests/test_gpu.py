"""Both stages on a CUDA device; `scripts/test.sh` runs these where there is one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import train, write_keyframes

from dextr_vos.annotation.dextr import DextrSegmenter
from dextr_vos.annotation.prompts import Click, Prompt
from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.benchmark.speed.stages import SpeedInput, compare_with_plain, stage_workloads
from dextr_vos.benchmark.speed.timing import time_workloads
from dextr_vos.clip import open_clip
from dextr_vos.geometry import extreme_points
from dextr_vos.masks import read_labels
from dextr_vos.networks.dextr import Dextr
from dextr_vos.propagation.trained_network import load_network, segment_clip

pytestmark = pytest.mark.gpu


@pytest.fixture
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    return torch.device("cuda")


def test_dextr_agrees_with_the_cpu(cuda: torch.device) -> None:
    torch.manual_seed(0)
    network = Dextr(head="psp")
    points = [extreme_points(tiny_mask(0) == 1)]
    (on_cpu,) = DextrSegmenter(network, torch.device("cpu")).probabilities(tiny_frame(0), points)
    (on_cuda,) = DextrSegmenter(network, cuda).probabilities(tiny_frame(0), points)
    assert np.abs(on_cpu - on_cuda).max() < 0.01


def test_the_network_for_clicks_agrees_with_the_cpu(cuda: torch.device) -> None:
    points = extreme_points(tiny_mask(0) == 1)
    known = Prompt(points, (Click(int(points[:, 0].mean()), int(points[:, 1].mean()), True),))
    on_cpu, on_cuda = (
        load_segmenter(device=str(device), bf16=False).prompted(tiny_frame(0), [known])[0]
        for device in ("cpu", cuda)
    )
    assert np.abs(on_cpu - on_cuda).max() < 0.01


def test_propagation_runs_and_its_network_segments_on_the_cpu(
    cuda: torch.device, tiny_clip: Path, tmp_path: Path
) -> None:
    keyframes = write_keyframes(tmp_path / "keyframes", 0, 3)
    train(tiny_clip, keyframes, tmp_path / "run", device="cuda")
    assert len(list((tmp_path / "run" / "masks").iterdir())) == 6
    for device in (cuda, torch.device("cpu")):
        trained = load_network(tmp_path / "run")
        segment_clip(open_clip(tiny_clip), trained, tmp_path / device.type, device)
    a, b = (read_labels(tmp_path / name / "00001.png") for name in ("cuda", "cpu"))
    assert (a != b).mean() < 0.01


def test_a_correction_continues_on_the_gpu(cuda: torch.device, tiny_clip: Path, tmp_path: Path) -> None:
    keyframes = write_keyframes(tmp_path / "keyframes", 0, 3)
    first = train(tiny_clip, keyframes, tmp_path / "run", device="cuda")
    before = (tmp_path / "run" / "masks" / "00001.png").read_bytes()
    write_keyframes(keyframes, 5)
    second = train(tiny_clip, keyframes, tmp_path / "run", device="cuda")
    assert second.continued_from == first.fingerprint
    assert (tmp_path / "run" / "masks" / "00001.png").read_bytes() == before


def test_both_models_are_timed_and_the_paper_one_compared_with_plain_pytorch(cuda: torch.device) -> None:
    frames = SpeedInput.rendered((480, 854))
    workloads = [*stage_workloads("lite", frames, cuda), *stage_workloads("paper", frames, cuda)]
    assert all(timing.median_s > 0 for timing in time_workloads(workloads, 2, cuda))
    for one in compare_with_plain(frames, cuda, 3, batch=4):
        assert one.ratio > 0.5
