"""The training loop: rate, gradients, step, average, log, validate, save; it resumes exactly from any stop.

One process or many (`torchrun`), by accelerate. A step's randomness comes from the seed and the step alone,
so a run that is resumed from its checkpoint ends with the same weights, to the bit on a CPU.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.checkpoints import load_into
from dextr_vos.networks.optim import rate_factor
from dextr_vos.training.checkpoint_folder import Checkpoint, TrainingFolder
from dextr_vos.training.loader import PositionBatches, load_batches
from dextr_vos.training.processes import Processes
from dextr_vos.training.task import LoopSettings, NamedTensors, Task

log = logging.getLogger(__name__)

OnStep = Callable[[int, int, float], None]


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        steps: done in all.
        loss: mean of the last `log_every` steps.
        scores: of the last validation.
        seconds: spent in all, without interruptions.
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
) -> TrainingResult:
    """Train, from the folder's checkpoint if it has one; a finished training stays as it is.

    Args:
        task: what is learned.
        settings: how long and how fast.
        folder: where checkpoints, the log and the weights go; only the main process touches it.
        seed: of everything random inside the network; samples have their own.
        device: "cpu" keeps accelerate from the GPU; otherwise it decides.
        on_step: called with steps done, steps in all and the loss, in the main process.
        stop_asked: asked at every step; one process that says yes stops all.

    Raises:
        InputError: the folder is refused; or the loss is no longer finite, the sentence names the step and
            the last good checkpoint.
        Interrupted: a stop was asked for; a checkpoint of this step is written.
    """
    processes = Processes(device)
    processes.from_main(folder.acquire)
    try:
        outcome = _Run(task, settings, folder, seed, processes).run(on_step, stop_asked)
    except Interrupted:
        processes.end()
        raise
    finally:
        folder.release()
    processes.end()
    return outcome


@dataclass
class _Pace:
    """Steps, and seconds spent on them and on waiting for samples, since the last line of the log."""

    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0


class _Run:
    """A training under way in one process."""

    def __init__(
        self, task: Task, settings: LoopSettings, folder: TrainingFolder, seed: int, processes: Processes
    ) -> None:
        self.task, self.settings, self.folder, self.seed = task, settings, folder, seed
        self.processes = processes
        task.network.to(processes.device).to(memory_format=torch.channels_last)
        self.average = WeightAverage(task.network, settings.average)
        self.rates = [group["lr"] for group in task.optimizer.param_groups]
        self.step, self.seconds, self.best = 0, 0.0, -math.inf
        self.saved_step = 0
        self.scores: dict[str, float] = {}
        self.losses: deque[float] = deque(maxlen=settings.log_every)
        self.pace = _Pace()
        self._resume()
        self.wrapped = processes.wrap(task.network, settings.sync_norm)
        in_bf16 = settings.precision == "bf16"
        self.model = _Bf16(self.wrapped, processes.device) if in_bf16 else self.wrapped

    def run(self, on_step: OnStep | None, stop_asked: StopAsked) -> TrainingResult:
        settings, before, started = self.settings, self.seconds, time.monotonic()
        with closing(self._batches()) as batches:
            while self.step < settings.steps:
                stopping = self._one_step(batches, stop_asked) and self.step < settings.steps
                self.seconds = before + time.monotonic() - started
                if on_step is not None and self.processes.is_main:
                    on_step(self.step, settings.steps, self.losses[-1])
                self._log_losses()
                self._validate()
                self._save(stopping)
                if stopping:
                    raise Interrupted(
                        f"stopped after step {self.step} of {settings.steps}; "
                        "the same command resumes from there"
                    )
        loss = sum(self.losses) / len(self.losses) if self.losses else math.nan
        return TrainingResult(self.step, loss, self.scores, self.seconds)

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.steps

    def _one_step(self, batches: Iterator[NamedTensors], stop_asked: StopAsked) -> bool:
        """Do one optimizer step; returns whether a process was asked to stop."""
        settings, task, processes = self.settings, self.task, self.processes
        began = time.monotonic()
        factor = rate_factor(self.step, settings.decay, settings.warmup, settings.steps, settings.warmup)
        for group, rate in zip(task.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        task.optimizer.zero_grad()
        self.wrapped.train()
        total = torch.zeros((), device=processes.device)
        for micro in range(settings.accumulate_grad):
            batch = self._next(batches)
            # after the samples, which may use the random state here or in a worker
            self._reseed(self.step * settings.accumulate_grad + micro)
            last = micro == settings.accumulate_grad - 1
            with nullcontext() if last else processes.no_sync(self.wrapped):
                loss = task.loss(self.model, batch, self.step / settings.steps) / settings.accumulate_grad
                processes.backward(loss)
            total += loss.detach()
        stop = torch.tensor(float(stop_asked()), device=processes.device)
        mean, norm, stopping = processes.mean(torch.stack([total, self._clip(), stop]))
        self.step += 1
        if not (math.isfinite(mean) and math.isfinite(norm)):
            bad = f"length of the gradient is {norm}" if math.isfinite(mean) else f"loss is {mean}"
            raise self._not_finite(f"the {bad}")
        task.optimizer.step()
        self.average.update(task.network, self.step - 1)
        self.losses.append(mean)
        self.pace.steps += 1
        self.pace.seconds += time.monotonic() - began
        return stopping > 0

    def _reseed(self, batch: int) -> None:
        torch.manual_seed((self.seed * 1_000_003 + batch) * 1009 + self.processes.rank)

    def _next(self, batches: Iterator[NamedTensors]) -> NamedTensors:
        began = time.monotonic()
        batch = next(batches)
        self.pace.waited += time.monotonic() - began
        return {key: tensor.to(self.processes.device, non_blocking=True) for key, tensor in batch.items()}

    def _clip(self) -> Tensor:
        """Shorten the gradient where that is asked for; its length before."""
        longest = math.inf if self.settings.clip_norm is None else self.settings.clip_norm
        return nn.utils.clip_grad_norm_(self.task.network.parameters(), longest).float()

    def _batches(self) -> Any:
        settings, processes = self.settings, self.processes
        positions = PositionBatches(
            self.step,
            settings.steps,
            settings.batch,
            settings.accumulate_grad,
            processes.rank,
            processes.count,
        )
        return load_batches(self.task.samples, positions, settings.workers, processes.device.type == "cuda")

    def _not_finite(self, what: str) -> InputError:
        saved = "there is no checkpoint yet"
        if self.saved_step:
            saved = f"the last good checkpoint is {self.folder.checkpoint} of step {self.saved_step}"
        return InputError(
            f"{what} at step {self.step} of {self.settings.steps}; {saved}; start again in another "
            "out=FOLDER with a lower rate, with loop.clip_norm or with loop.precision=fp32"
        )

    def _log_losses(self) -> None:
        if self.step % self.settings.log_every or not self.processes.is_main:
            return
        settings, pace = self.settings, self.pace
        samples = pace.steps * settings.batch * settings.accumulate_grad * self.processes.count
        self.pace = _Pace()
        self.folder.log(
            step=self.step,
            loss=sum(self.losses) / len(self.losses),
            rate=max(group["lr"] for group in self.task.optimizer.param_groups),
            samples_per_second=samples / pace.seconds,
            waiting_for_samples=pace.waited / pace.seconds,
        )

    def _validate(self) -> None:
        if not self._due(self.settings.validate_every):
            return
        self._require_finite()
        self.scores, self.best = self.processes.from_main(self._scored)

    def _scored(self) -> tuple[dict[str, float], float]:
        """Scores of the averaged weights, and the best so far, whose weights are kept in a file."""
        network = self.task.network
        own = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
        network.load_state_dict(self.average.state)
        scores = self.task.validate(network)
        network.load_state_dict(own)
        if not scores:
            return {}, self.best
        text = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        log.info("step %d of %d: %s", self.step, self.settings.steps, text)
        self.folder.log(step=self.step, **scores)
        score = next(iter(scores.values()))
        if score > self.best:
            self.folder.save_weights("best", self.average.state, self.step, scores)
        return scores, max(self.best, score)

    def _save(self, stopping: bool) -> None:
        if not stopping and not self._due(self.settings.save_every):
            return
        self._require_finite()
        self.processes.from_main(self._write)
        self.saved_step = self.step

    def _write(self) -> None:
        self.folder.save_checkpoint(
            Checkpoint(
                step=self.step,
                seconds=self.seconds,
                best=self.best,
                scores=self.scores,
                network=self.task.network.state_dict(),
                optimizer=self.task.optimizer.state_dict(),
                average=self.average.state,
                losses=list(self.losses),
                processes=self.processes.count,
            )
        )
        self.folder.save_weights("last", self.average.state, self.step, self.scores)

    def _require_finite(self) -> None:
        """Refuse to save weights that the last step has made infinite."""
        tensors = [tensor for tensor in self.average.state.values() if tensor.is_floating_point()]
        tensors += [parameter.detach() for parameter in self.task.network.parameters()]
        if not torch.stack([tensor.isfinite().all() for tensor in tensors]).all():
            raise self._not_finite("a weight is infinite or nan")

    def _resume(self) -> None:
        saved = self.processes.from_main(self._read)
        if saved is None:
            return
        if saved.processes != self.processes.count:
            raise InputError(
                f"{self.folder.path} was begun with {saved.processes} processes, now there are "
                f"{self.processes.count}; start as many, or give another out=FOLDER"
            )
        load_into(self.task.network, saved.network, self.folder.checkpoint)
        self.task.optimizer.load_state_dict(dict(saved.optimizer))
        self.average.load(saved.average)
        self.step, self.seconds, self.best = saved.step, saved.seconds, saved.best
        self.saved_step, self.scores = saved.step, dict(saved.scores)
        self.losses.extend(saved.losses)
        if self.processes.is_main:
            done = self.step == self.settings.steps
            log.info("finished already: %d steps" if done else "resumed from step %d", self.step)

    def _read(self) -> Checkpoint | None:
        saved = self.folder.read_checkpoint()
        self.folder.forget_after(saved.step if saved else 0)
        if saved is not None:
            # the process may have been killed between writing the checkpoint and these
            self.folder.save_weights("last", saved.average, saved.step, saved.scores)
        return saved


class _Bf16(nn.Module):
    """A network that computes in bf16 where that is safe, and answers in fp32."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.network = network
        self._kind = device.type

    def forward(self, *inputs: Tensor) -> Any:
        with torch.autocast(self._kind, dtype=torch.bfloat16):
            outputs = self.network(*inputs)
        return convert_to_fp32(outputs)


class WeightAverage:
    """Exponential moving average of a network's weights and running statistics.

    Args:
        network: the average starts from its weights.
        decay: share of the average that stays at each step; 0 copies the network. It grows to this over
            the first steps, so that the first weights are forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self.state = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's weights and running statistics after its step number `step`."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.state[key].lerp_(tensor, 1 - decay)
            else:
                self.state[key].copy_(tensor)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume from a saved state."""
        for key, tensor in state.items():
            self.state[key].copy_(tensor)
