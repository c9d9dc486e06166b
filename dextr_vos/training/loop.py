"""The training loop: rate, passes, step, average, log, validate, save; stopped anywhere, it goes on exactly.

One process or many (`torchrun`), by accelerate. A step's randomness comes from the seed and the step alone,
so a run that is resumed from its checkpoint ends with the same weights, to the bit on a CPU.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dextr_vos.config import Settings
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.training.average import WeightAverage
from dextr_vos.training.folder import Checkpoint, TrainingFolder
from dextr_vos.training.order import PositionBatches
from dextr_vos.training.rate import Decay, rate_factor

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]
OnStep = Callable[[int, int, float], None]


class LoopSettings(Settings):
    """How long and how fast to train.

    Attributes:
        steps: optimiser steps.
        batch: samples a process and pass.
        passes: passes whose gradients are averaged into one step.
        warmup: steps over which the rate rises.
        decay: how the rate falls, see `rate_factor`.
        precision: of the network's arithmetic; "bf16" keeps the weights in fp32.
        average: decay of the moving average of the weights; 0 keeps none.
        clip_norm: longest gradient; None lets it be.
        log_every: steps between lines of the log.
        validate_every: steps between validations; the last step validates, too.
        save_every: steps between checkpoints.
        workers: processes that make samples.
    """

    steps: int
    batch: int
    passes: int = 1
    warmup: int = 0
    decay: Decay = "cosine"
    precision: Literal["fp32", "bf16"] = "fp32"
    average: float = 0.0
    clip_norm: float | None = None
    log_every: int = 20
    validate_every: int = 500
    save_every: int = 200
    workers: int = 2


class Task(Protocol):
    """What is learned; the loop knows nothing of it.

    Attributes:
        network: to train.
        optimizer: of the network's parameters; its rates are the full ones.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer

    @property
    def samples(self) -> Dataset[Batch]:
        """A sample by its position in the run."""
        ...

    def loss(self, network: nn.Module, batch: Batch, done: float) -> Tensor:
        """Scalar, averaged over the batch.

        Args:
            network: to call; perhaps wrapped.
            batch: on the device.
            done: share of the training that is done, in [0, 1).
        """
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores by name; the first one decides which checkpoint is the best, more is better."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        steps: done in all.
        loss: mean of the last steps logged.
        scores: of the last validation.
        seconds: spent in all, interruptions left out.
    """

    steps: int
    loss: float
    scores: Mapping[str, float]
    seconds: float


def train(
    task: Task,
    settings: LoopSettings,
    folder: TrainingFolder,
    seed: int = 0,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
    stop_asked: StopAsked = never,
) -> Outcome:
    """Train, from the folder's checkpoint if it has one.

    Args:
        task: what is learned.
        settings: how long and how fast.
        folder: where checkpoints, the log and the weights go.
        seed: of everything random inside the network; samples have their own.
        device: "cpu" keeps accelerate from the GPU; otherwise it decides.
        on_step: called with steps done, steps in all and the loss.
        stop_asked: asked after every step.

    Raises:
        InputError: the loss is no number any more; the sentence names the step and the last checkpoint.
        Interrupted: a stop was asked for; a checkpoint of this step is written.
    """
    accelerator = Accelerator(
        cpu=device is not None and device.type == "cpu",
        mixed_precision="bf16" if settings.precision == "bf16" else "no",
    )
    run = _Run(task, settings, folder, seed, accelerator)
    return run.to_the_end(on_step, stop_asked)


class _Run:
    """A training under way in one process."""

    def __init__(
        self, task: Task, settings: LoopSettings, folder: TrainingFolder, seed: int, accelerator: Accelerator
    ) -> None:
        self.task, self.settings, self.folder, self.seed = task, settings, folder, seed
        self.accelerator = accelerator
        task.network.to(accelerator.device).to(memory_format=torch.channels_last)
        self.average = WeightAverage(task.network, settings.average)
        self.step, self.seconds, self.best = 0, 0.0, -math.inf
        self.scores: dict[str, float] = {}
        self.rates = [group["lr"] for group in task.optimizer.param_groups]
        self._resume()
        self.model = accelerator.prepare_model(task.network)
        self.logged: list[float] = []

    def to_the_end(self, on_step: OnStep | None, stop_asked: StopAsked) -> Outcome:
        settings = self.settings
        batches = iter(self._loader())
        started, waited, since = time.monotonic(), 0.0, time.monotonic()
        before = self.seconds
        while self.step < settings.steps:
            loss, waiting = self._one_step(batches)
            waited += waiting
            self.step += 1
            self.seconds = before + time.monotonic() - started
            self.logged.append(loss)
            if on_step is not None and self.accelerator.is_main_process:
                on_step(self.step, settings.steps, loss)
            if self.step % settings.log_every == 0:
                elapsed = time.monotonic() - since
                self._log_losses(elapsed, waited / elapsed)
                waited, since = 0.0, time.monotonic()
            if self.step % settings.validate_every == 0 or self.step == settings.steps:
                self._validate()
            stopping = stop_asked() and self.step < settings.steps
            if stopping or self.step % settings.save_every == 0 or self.step == settings.steps:
                self._save()
            if stopping:
                raise Interrupted(
                    f"stopped after step {self.step} of {settings.steps}; the same command goes on from there"
                )
        loss = sum(self.logged) / len(self.logged) if self.logged else math.nan
        return Outcome(self.step, loss, self.scores, self.seconds)

    def _one_step(self, batches: Any) -> tuple[float, float]:
        """One optimiser step; its loss, and the seconds spent waiting for samples."""
        settings, task = self.settings, self.task
        torch.manual_seed((self.seed * 1_000_003 + self.step) * 1009 + self.accelerator.process_index)
        factor = rate_factor(self.step, settings.steps, settings.warmup, settings.decay)
        for group, rate in zip(task.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        task.optimizer.zero_grad()
        self.model.train()
        total, waited = 0.0, 0.0
        for number in range(settings.passes):
            began = time.monotonic()
            batch = {
                key: tensor.to(self.accelerator.device, non_blocking=True)
                for key, tensor in next(batches).items()
            }
            waited += time.monotonic() - began
            last = number == settings.passes - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss = task.loss(self.model, batch, self.step / settings.steps) / settings.passes
                self.accelerator.backward(loss)
            total += float(self.accelerator.reduce(loss.detach(), "mean"))
        if not math.isfinite(total):
            raise InputError(
                f"the loss is {total} at step {self.step + 1}; the last good checkpoint is "
                f"{self.folder.checkpoint_told()}; lower the rate or set precision=fp32 and run again"
            )
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(task.network.parameters(), settings.clip_norm)
        task.optimizer.step()
        self.average.update(task.network, self.step)
        return total, waited

    def _loader(self) -> DataLoader[Batch]:
        settings = self.settings
        batches = PositionBatches(
            self.step,
            settings.steps,
            settings.batch,
            settings.passes,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        return DataLoader(
            self.task.samples,
            batch_sampler=batches,
            num_workers=settings.workers,
            worker_init_fn=_quiet_worker,
            prefetch_factor=4 if settings.workers else None,
            pin_memory=self.accelerator.device.type == "cuda",
        )

    def _log_losses(self, seconds: float, waiting: float) -> None:
        if not self.accelerator.is_main_process:
            return
        settings = self.settings
        recent = self.logged[-settings.log_every :]
        samples = settings.log_every * settings.batch * settings.passes * self.accelerator.num_processes
        self.logged = recent
        self.folder.log(
            step=self.step,
            loss=sum(recent) / len(recent),
            rate=self.task.optimizer.param_groups[0]["lr"],
            samples_per_second=samples / seconds,
            waiting_for_samples=waiting,
        )

    def _validate(self) -> None:
        """Scores of the averaged weights; the best ones are kept in a file of their own."""
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            own = {key: tensor.detach().clone() for key, tensor in self.task.network.state_dict().items()}
            self.task.network.load_state_dict(self.average.state)
            self.scores = self.task.validate(self.task.network)
            self.task.network.load_state_dict(own)
            score = next(iter(self.scores.values()), -math.inf)
            told = ", ".join(f"{name} {value:.3f}" for name, value in self.scores.items())
            log.info("step %d of %d: %s", self.step, self.settings.steps, told)
            self.folder.log(step=self.step, **self.scores)
            if score > self.best:
                self.best = score
                self.folder.save_weights("best", self.average.state, self.step, self.scores)
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self.folder.save_checkpoint(
            Checkpoint(
                step=self.step,
                seconds=self.seconds,
                best=self.best,
                scores=self.scores,
                network=self.task.network.state_dict(),
                optimizer=self.task.optimizer.state_dict(),
                average=self.average.state,
            )
        )
        self.folder.save_weights("last", self.average.state, self.step, self.scores)

    def _resume(self) -> None:
        saved = self.folder.read_checkpoint()
        if saved is None:
            return
        self.task.network.load_state_dict(saved.network)
        self.task.optimizer.load_state_dict(dict(saved.optimizer))
        self.average.load(saved.average)
        self.step, self.seconds, self.best = saved.step, saved.seconds, saved.best
        self.scores = dict(saved.scores)
        self.folder.forget_after(self.step)
        log.info("going on from step %d of %d", self.step, self.settings.steps)


def _quiet_worker(_: int) -> None:
    """One thread a worker, and it yields: the cores are the network's."""
    import cv2

    cv2.setNumThreads(0)
    os.nice(10)
    torch.set_num_threads(1)
