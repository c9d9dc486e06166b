"""A training of milliseconds a step, in this process or in others that can be killed."""

import atexit
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from dextr_vos.errors import InputError
from dextr_vos.interrupt import never
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.training.checkpoint_folder import TrainingFolder
from dextr_vos.training.loop import LoopSettings, TrainingResult, train

CPU = torch.device("cpu")
SHORT = {"steps": 12, "batch": 2, "log_every": 1, "validate_every": 5, "save_every": 4, "workers": 0}
# what takes seconds to import; an optimiser needs dynamo
_IMPORTED = [
    "dextr_vos.training.loop",
    "dextr_vos.training.dextr",
    "dextr_vos.pipeline",
    "dextr_vos.benchmark.run",
    "torch._dynamo",
    "torch.utils.tensorboard",
]
TIMES = ("samples_per_second", "waiting_for_samples")


class TinySamples(Dataset[dict[str, Tensor]]):
    """An image, and where it is bright; position `broken` cannot be read."""

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        if position == self.broken:
            raise InputError(f"image {position} is broken: cut short")
        rng = np.random.default_rng((7, position))
        image = torch.from_numpy(rng.normal(size=(3, 12, 12)).astype(np.float32))
        return {"image": image, "target": (image.mean(0, keepdim=True) > 0).float()}


class TinyTask:
    """See `loop.Task`.

    Args:
        rate: of the optimiser.
        dropout: randomness inside the network.
        pause: seconds that a step takes longer.
        loss_at: what the loss is multiplied by at a step, by its number from 1.
        nan_rank: the one process in which it is.
        broken: position of a sample that cannot be read.
        validated: it has something to validate on.
    """

    def __init__(
        self,
        rate: float = 0.01,
        dropout: float = 0.2,
        pause: float = 0.0,
        loss_at: dict[int, float] | None = None,
        broken: int = -1,
        validated: bool = True,
        nan_rank: int = 0,
    ) -> None:
        torch.manual_seed(3)
        self.network = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(6, 1, 3, padding=1),
        )
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=rate)
        self.samples = TinySamples(broken)
        here = int(os.environ.get("RANK", "0")) == nan_rank
        self.loss_at = loss_at if loss_at and here else {}
        self.pause, self.validated = pause, validated
        self.steps = 0  # done by this object
        self.rates: list[float] = []

    def loss(self, network: nn.Module, batch: dict[str, Tensor], done: float) -> Tensor:
        time.sleep(self.pause)
        self.steps += 1
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        logits = network(batch["image"])
        assert logits.dtype == torch.float32
        loss = F.binary_cross_entropy_with_logits(logits, batch["target"])
        return loss * self.loss_at.get(self.steps, 1.0)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        if not self.validated:
            return {}
        network.eval()
        device = next(network.parameters()).device
        samples = [self.samples[position] for position in range(1000, 1010)]
        masks = network(torch.stack([sample["image"] for sample in samples]).to(device)).cpu() > 0
        truth = torch.stack([sample["target"] for sample in samples]) > 0
        return {"iou": float((masks & truth).sum() / (masks | truth).sum())}


def train_tiny(
    out: Path, settings: dict[str, Any], task: dict[str, Any] | None = None, **options
) -> TrainingResult:
    """Train or go on; the settings' file is JSON, which is YAML, too."""
    folder = TrainingFolder(out, json.dumps(settings), {"network": "tiny"})
    made = TinyTask(**(task or {}))
    return train(made, LoopSettings(**(SHORT | settings)), folder, seed=1, device=CPU, **options)


def hashes(out: Path) -> dict[str, str]:
    """Of the weights and their metadata, which stand in any order in a file."""
    found = {}
    for path in out.glob("*.safetensors"):
        known = sha256(json.dumps(read_metadata(path), sort_keys=True).encode())
        for key, tensor in sorted(read_state_dict(path).items()):
            known.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
        found[path.name] = known.hexdigest()
    return found


def log_lines(out: Path) -> list[dict[str, float]]:
    """The log without what depends on the clock."""
    path = out / "log.jsonl"
    text = path.read_text() if path.exists() else ""
    lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in log_lines(out) if "loss" in line]


def start_process(
    work: Callable[..., object], *args: object, env: dict[str, str] | None = None
) -> BaseProcess:
    """Work in a process of its own, which shares nothing with this one and has PyTorch imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=_work, args=(work, args, env or {}))
    process.start()
    atexit.register(_kill, process)  # where a test has failed: this process waits for it as it ends
    return process


def _kill(process: BaseProcess) -> None:
    if process.is_alive():
        process.kill()


def start_command(
    arguments: list[str],
    told: Path,
    prepare: Callable[[], None] | None = None,
    terminal: str | None = None,
    env: dict[str, str] | None = None,
) -> BaseProcess:
    """The command in a process group of its own; it is the console script but for the time of its imports.

    Args:
        arguments: of `dextr-vos`.
        told: file to which what it prints is appended.
        prepare: called first, in that process.
        terminal: device that is its error stream.
        env: added to the environment.
    """
    return start_process(run_command, arguments, told, prepare, terminal, env=env)


def run_command(
    arguments: list[str],
    told: Path,
    prepare: Callable[[], None] | None = None,
    terminal: str | None = None,
) -> None:
    """What `start_command` starts."""
    os.setpgid(0, 0)
    warnings.resetwarnings()
    with told.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if terminal is not None:
        screen = os.open(terminal, os.O_WRONLY | os.O_NOCTTY)
        os.dup2(screen, 2)
        os.close(screen)
    # the old objects remember what the descriptors were
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    if prepare is not None:
        prepare()
    from dextr_vos.cli.main import main

    main(arguments, prog_name="dextr-vos")


def start_world(count: int, work: Callable[..., object], *args: object) -> list[BaseProcess]:
    """The same work in several processes that find one another, as torchrun starts them."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    return [
        start_process(
            work, *args, env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"}
        )
        for rank in range(count)
    ]


def hold(
    owner: Any, name: str, when: Callable[..., bool] = lambda *_: True, until: Callable[[], bool] = never
) -> None:
    """Let this process wait at the end of a call of a function until it is asked to stop, or killed.

    Whoever stops or kills it never comes too late, however slow the machine is.

    Args:
        owner: has the function.
        name: of the function, which is called in the main thread.
        when: with the arguments of the call, whether it waits.
        until: ends the waiting, too.
    """
    original, stops = getattr(owner, name), False

    def held(*given: object, **options: object) -> object:
        nonlocal stops
        with _asked_to_stop() as asked:
            result = original(*given, **options)
            waits = not stops and when(*given)
            while waits and not asked and not until():
                time.sleep(0.005)
        stops = stops or bool(asked)
        return result

    setattr(owner, name, held)


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """The first Ctrl-C or SIGTERM that comes while the block runs; it means what it meant before."""
    asked: list[int] = []
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, handler)

    def note(kind: int, frame: Any) -> None:
        asked.append(kind)
        restore()
        handler = before[signal.Signals(kind)]
        if callable(handler):
            handler(kind, frame)

    for kind in before:
        signal.signal(kind, note)
    try:
        yield asked
    finally:
        if not asked:
            restore()


def hold_log(out: Path, lines: int, until: Callable[[], bool] = never) -> None:
    """Trainings in this process wait as soon as the log has so many lines; see `hold`."""
    hold(TrainingFolder, "log", lambda *_: len(log_lines(out)) >= lines, until)


def ended(*processes: BaseProcess, seconds: float = 1200) -> list[int | None]:
    """Exit statuses, after all have ended."""
    end = time.monotonic() + seconds
    try:
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
        return [process.exitcode for process in processes]
    finally:
        for process in processes:
            process.kill()


def wait_until(
    true: Callable[[], object], *needed: BaseProcess | subprocess.Popen[Any], seconds: float = 1200
) -> None:
    """Wait for what processes bring about; it fails at once when one of them ends without that."""
    end = time.monotonic() + seconds
    while not true():
        gone = [process for process in needed if _exit_status(process) is not None]
        statuses = [_exit_status(process) for process in gone]
        assert not gone or true(), f"waited in vain: exit status {statuses}"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def _exit_status(process: BaseProcess | subprocess.Popen[Any]) -> int | None:
    """None: it has not ended."""
    return process.exitcode if isinstance(process, BaseProcess) else process.poll()


def scheduler_address(file: Path, scheduler: subprocess.Popen[Any]) -> str:
    """Where a Dask scheduler listens, once it has written its file as a whole."""
    wait_until(lambda: file.exists() and file.read_text().rstrip().endswith("}"), scheduler)
    return str(json.loads(file.read_text())["address"])


def _work(work: Callable[..., object], args: tuple[object, ...], env: dict[str, str]) -> None:
    os.environ.update(env)
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    work(*args)
