"""The folder of a training: its settings, log, checkpoint and weights.

```
<out>/settings.yaml        what was asked for
<out>/log.jsonl            a line every so many steps: loss, rate, samples a second; scores of validations
<out>/checkpoint.pt        everything needed to go on
<out>/last.safetensors     the averaged weights of the checkpoint
<out>/best.safetensors     those with the best validation
<out>/tensorboard/         where tensorboard is installed
```
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path, write_text
from dextr_vos.networks.weights import save


@dataclass(frozen=True)
class Checkpoint:
    """Everything a training needs to go on.

    Attributes:
        step: steps done.
        seconds: spent so far.
        best: best validation score so far.
        scores: of the last validation.
        network: its weights.
        optimizer: its state.
        average: the averaged weights.
    """

    step: int
    seconds: float
    best: float
    scores: Mapping[str, float]
    network: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    average: Mapping[str, Tensor]


class TrainingFolder:
    """A training's files; only the main process of several writes.

    Args:
        path: made when the first file is written.
        settings: the settings as YAML text; a folder that was begun with others is refused.
        metadata: what is written beside the weights, see `networks.weights.save`.

    Raises:
        InputError: the folder holds a training with other settings, or something else.
    """

    def __init__(self, path: Path, settings: str, metadata: Mapping[str, str]) -> None:
        self.path = path
        self._metadata = dict(metadata)
        self._board: Any = None
        self._claim(settings)

    def _claim(self, settings: str) -> None:
        written = self.path / "settings.yaml"
        if not written.exists():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise InputError(f"{self.path} is not empty and holds no training; give another out=FOLDER")
            write_text(written, settings)
        elif written.read_text(encoding="utf-8") != settings:
            raise InputError(
                f"{self.path} holds a training with other settings, see {written.name} there; "
                "give another out=FOLDER, or remove that one"
            )

    def checkpoint_told(self) -> str:
        """Where the checkpoint is, in words."""
        path = self.path / "checkpoint.pt"
        return str(path) if path.exists() else "none yet"

    def read_checkpoint(self) -> Checkpoint | None:
        """The checkpoint, if there is one.

        Raises:
            InputError: it is broken.
        """
        path = self.path / "checkpoint.pt"
        if not path.exists():
            return None
        try:
            return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
        except Exception as fault:  # whatever the reader stumbles over is the file's fault
            raise InputError(f"the checkpoint {path} is broken ({fault}); remove it to begin anew") from fault

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint, whole or not at all."""
        values = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
        with atomic_path(self.path / "checkpoint.pt") as temporary:
            torch.save(values, temporary)

    def save_weights(
        self, name: str, state: Mapping[str, Tensor], step: int, scores: Mapping[str, float]
    ) -> None:
        """Write weights with the step, the scores and the metadata beside them."""
        told = {"step": str(step), "scores": json.dumps(dict(scores))}
        save(self.path / f"{name}.safetensors", state, self._metadata | told)

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
        """Drop lines of the log after a step, which will be done again."""
        path = self.path / "log.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
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
                self._board = SummaryWriter(str(self.path / "tensorboard"))
        return self._board or None
