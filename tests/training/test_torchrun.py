"""Training as users start it: the command, alone and by torchrun, stopped and killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_datasets import make_davis
from tiny_training import CPU, ended, hashes, log_lines, losses, start_process, start_world, wait_until

from dextr_vos.config import load_settings
from dextr_vos.networks import lite_encoder
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.networks.dextr import upsample_logits
from dextr_vos.networks.lite_dextr import LiteDextr
from dextr_vos.networks.losses import plain_bce, soft_iou_loss
from dextr_vos.training.checkpoint_folder import TrainingFolder
from dextr_vos.training.dextr import DextrTask
from dextr_vos.training.dextr_settings import DextrSettings, open_data
from dextr_vos.training.loop import train

pytestmark = pytest.mark.slow

CONFIG = """
out: {out}
model: lite
loss: plain+iou
rate: 0.001
data_root: {root}
data: [{{kind: davis, split: val}}]
validation: [{{kind: davis, split: val, every: 3}}]
crop: {{size_px: 64, relax_px: 4, fwhm_px: 8}}
crop_px: [[0.0, 64], [0.5, 96]]
jitter: 0.05
extra_clicks: 0.3
loop: {{steps: 10, batch: 4, warmup: 2, average: 0.9, clip_norm: 5, log_every: 1, validate_every: 4,
  save_every: 3, workers: 1}}
"""
# as many threads in each process as torchrun gives them
ENV = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return make_davis(tmp_path_factory.mktemp("data") / "DAVIS")


def command(root: Path, out: Path, *settings: str, launcher: list[str] | None = None) -> list[str]:
    config = out.parent / "config.yaml"
    config.write_text(CONFIG.format(out=out, root=root))
    return [
        sys.executable,
        *(launcher or []),
        "-m",
        "dextr_vos",
        "train-dextr",
        "--config",
        str(config),
        *settings,
    ]


def start(args: list[str], out: Path, lines: int) -> subprocess.Popen:
    """A training that runs until its log has some lines."""
    process = subprocess.Popen(args, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(log_lines(out)) >= lines or process.poll() is not None, seconds=1200)
    assert process.poll() is None, process.communicate()
    return process


def run(args: list[str]) -> subprocess.CompletedProcess:
    done = subprocess.run(args, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    """A training of one process with a batch of eight."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    told = run(command(root, out, "loop.batch=8"))
    assert "Warning" not in told.stderr
    return hashes(out), log_lines(out), losses(out)


def test_two_processes_have_the_curve_of_one_with_a_batch_of_twice_the_size(root, tmp_path):
    one, two = tmp_path / "one" / "out", tmp_path / "two" / "out"
    one.parent.mkdir()
    two.parent.mkdir()
    # AdamW makes whole steps of gradients that are rounding alone; how far these lead apart goes with the
    # rate, and `test_in_double_precision…` shows that nothing else does
    rate = "rate=0.00002"
    run(command(root, one, rate, "loop.batch=8"))
    told = run(command(root, two, rate, launcher=TORCHRUN))
    assert losses(two)[0] == pytest.approx(losses(one)[0], rel=1e-5)
    assert losses(two)[:2] == pytest.approx(losses(one)[:2], rel=1e-4)
    assert losses(two) == pytest.approx(losses(one), rel=1e-3)
    assert losses(one)[-1] < 0.95 * losses(one)[0]
    assert told.stdout.count("trained 10 steps") == 1


class DoubleTask(DextrTask):
    """LiteDextr in float64, which leaves no rounding to be seen."""

    def loss(self, network, batch, done):
        target, void = batch["target"].float(), batch["void"]
        logits = upsample_logits(network(batch["inputs"].double()), (target.shape[-2], target.shape[-1]))
        return plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)

    def validate(self, network):
        return {}


def train_in_double_precision(config: Path, out: Path, batch: int) -> None:
    settings = load_settings(DextrSettings, config, [f"loop.batch={batch}", "loop.workers=0"])
    # thin, since rounding is all that matters here
    lite_encoder.WIDTHS, lite_encoder.DEPTHS = (8, 8, 16, 16, 16), (1, 1, 1, 1)
    lite_encoder.DECODER_WIDTHS = (16, 8, 8, 8)
    torch.manual_seed(0)
    task = DoubleTask(settings, LiteDextr().double(), open_data(settings, Path()))
    train(task, settings.loop, TrainingFolder(out, "", {}), 0, CPU)


def test_in_double_precision_both_curves_are_the_same(root, tmp_path):
    command(root, tmp_path / "out")
    config = tmp_path / "config.yaml"
    alone = start_process(train_in_double_precision, config, tmp_path / "one", 8)
    together = start_world(2, train_in_double_precision, config, tmp_path / "two", 4)
    assert ended(alone, *together) == [0, 0, 0]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-6)
    one, two = (read_state_dict(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, rtol=1e-6, atol=1e-8)


def test_killed_and_terminated_it_resumes_and_ends_the_same(root, tmp_path, undisturbed):
    out = tmp_path / "out"
    args = command(root, out, "loop.batch=8")
    process = start(args, out, 2)
    process.kill()
    process.communicate()
    process = start(args, out, 7)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "the same command resumes from there" in errors
    assert "Traceback" not in errors
    assert "resumed from step" in run(args).stderr
    assert (hashes(out), log_lines(out)) == undisturbed[:2]


def test_ctrl_c_stops_all_processes_of_torchrun_at_one_step(root, tmp_path, undisturbed):
    out = tmp_path / "out"
    args = command(root, out, launcher=TORCHRUN)
    process = start(args, out, 2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert "the same command resumes from there" in told
    assert (out / "checkpoint.pt").exists()
    step = max(line["step"] for line in log_lines(out))
    assert f"stopped after step {step} of 10" in told
    assert losses(out) == pytest.approx(undisturbed[2][:step], rel=1e-2)
