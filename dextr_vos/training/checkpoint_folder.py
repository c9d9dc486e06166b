"""The folder of a training: its settings, log, checkpoint and weights.

```
<out>/settings.yaml        the settings of the training
<out>/log.jsonl            a line every `log_every` steps: loss, rate, samples a second; scores of validations
<out>/checkpoint.pt        everything needed to resume
<out>/last.safetensors     the averaged weights of the checkpoint
<out>/best.safetensors     those with the best validation
<out>/tensorboard/         curves, where tensorboard is installed
```
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dextr_vos.errors import ConfigError, InputError
from dextr_vos.files import atomic_path, read_text, sweep_temporaries, write_text
from dextr_vos.folder_lock import FolderLock
from dextr_vos.networks.checkpoints import save
from dextr_vos.yaml_text import parse_yaml

# a killed process's sample workers notice within five seconds, and hold the lock until then
_LOCK_SECONDS = 20.0
_DIFFERENCES_SHOWN = 3


@dataclass(frozen=True)
class Checkpoint:
    """Everything a training needs to resume.

    Attributes:
        step: steps done.
        seconds: spent so far.
        best: best validation score so far.
        scores: of the last validation.
        network: its weights.
        optimizer: its state.
        average: the averaged weights.
        losses: of the last steps, for the log.
        processes: that take part; with more or fewer, the samples of a step would differ.
    """

    step: int
    seconds: float
    best: float
    scores: Mapping[str, float]
    network: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    average: Mapping[str, Tensor]
    losses: Sequence[float] = ()
    processes: int = 1


class TrainingFolder:
    """A training's files. Nothing is touched before `acquire`, which the main process of several calls.

    Args:
        path: made when it is acquired.
        settings: the settings as YAML text; a folder of a training with other settings is refused.
        metadata: what is written beside the weights, see `networks.checkpoints.save`.
    """

    def __init__(self, path: Path, settings: str, metadata: Mapping[str, str]) -> None:
        self.path = path
        self._settings = settings
        self._metadata = dict(metadata)
        self._lock = FolderLock(path)
        self._board: Any = None
        self._first_step = 1

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint is, or will be."""
        return self.path / "checkpoint.pt"

    def acquire(self) -> None:
        """Take the folder for this process, until `release` or its end.

        Raises:
            InputError: it holds a training with other settings, or something else, or another process
                trains in it.
        """
        written = self.path / "settings.yaml"
        if not written.exists() and self.path.is_dir() and any(_visible(self.path)):
            raise InputError(f"{self.path} is not empty and holds no training; give another out=FOLDER")
        self._lock.acquire(_LOCK_SECONDS)
        try:
            self._take_settings(written)
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Close files and let other processes have the folder; acquired or not."""
        if self._board:
            self._board.close()
        self._board = None
        self._lock.release()

    def _take_settings(self, written: Path) -> None:
        sweep_temporaries(self.path)
        if not written.exists():
            write_text(written, self._settings)
        elif (begun := read_text(written)) != self._settings:
            raise InputError(
                f"{self.path} holds a training with other settings ({_differences(begun, self._settings)}); "
                "give another out=FOLDER, or remove that one"
            )

    def read_checkpoint(self) -> Checkpoint | None:
        """The checkpoint, if there is one.

        Raises:
            InputError: it is broken.
        """
        if not self.checkpoint.exists():
            return None
        try:
            return Checkpoint(**torch.load(self.checkpoint, map_location="cpu", weights_only=True))
        except Exception as error:  # torch.load raises many kinds on a broken file
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(
                f"the checkpoint {self.checkpoint} is broken ({why}); remove it to start again"
            ) from error

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint atomically."""
        values = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
        with atomic_path(self.checkpoint) as temporary:
            torch.save(values, temporary)

    def save_weights(
        self, name: str, state: Mapping[str, Tensor], step: int, scores: Mapping[str, float]
    ) -> None:
        """Write weights with the step, the scores and the metadata beside them."""
        beside = {"step": str(step), "scores": json.dumps(dict(scores))}
        save(self.path / f"{name}.safetensors", state, self._metadata | beside)

    def log(self, **values: float) -> None:
        """Add a line to the log, and points to the curves of TensorBoard where it is installed."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        board = self._tensorboard()
        if board is not None:
            for name, value in values.items():
                if name != "step":
                    board.add_scalar(name, value, int(values["step"]))
            board.flush()

    def forget_after(self, step: int) -> None:
        """Drop lines of the log and points of the curves after a step, from which the training resumes."""
        self._first_step = step + 1
        path = self.path / "log.jsonl"
        if not path.exists():
            return
        kept = []
        for line in read_text(path).splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except ValueError:  # a line cut short when the process was killed
                continue
        write_text(path, "".join(kept))

    def _tensorboard(self) -> Any:
        if self._board is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self._board = False
            else:
                folder = str(self.path / "tensorboard")
                self._board = SummaryWriter(folder, purge_step=self._first_step)
        return self._board or None


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def _differences(begun: str, asked: str) -> str:
    """Which settings differ between two YAML texts, for a message."""
    try:
        before, now = (dict(_leaves(parse_yaml(text, "it")[0])) for text in (begun, asked))
    except ConfigError:
        return "its settings.yaml cannot be read"
    changed = [
        f"{key}: {before.get(key, 'nothing')} there, {now.get(key, 'nothing')} here"
        for key in (now | before)
        if before.get(key) != now.get(key)
    ]
    more = f", and {len(changed) - _DIFFERENCES_SHOWN} more" if len(changed) > _DIFFERENCES_SHOWN else ""
    return "; ".join(changed[:_DIFFERENCES_SHOWN]) + more or "in order or notation alone"


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Values by their dotted places; a list that holds groups is taken apart, too."""
    pairs: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        pairs = iter(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = iter(enumerate(value))
    else:
        yield place, value
    for key, item in pairs:
        yield from _leaves(item, f"{place}.{key}" if place else str(key))
