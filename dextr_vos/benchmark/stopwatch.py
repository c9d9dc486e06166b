"""How long a cell has taken and how far it is, in a small file: kept when the process is killed."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from dextr_vos.files import write_text

_SECONDS_BETWEEN_WRITES = 2.0
PHASES = ("annotate", "finetune", "segment", "score")


class Stopwatch:
    """Adds up the seconds of each phase over all the times that the work was begun.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.share = 0.0
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self.seconds |= {name: float(content["seconds"][name]) for name in PHASES}
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or cut off: time starts anew, masks do not
        self._last = self._written = time.monotonic()

    def tick(self, phase: str, share: float) -> None:
        """The time since the last tick went into a phase.

        Args:
            phase: one of `PHASES`.
            share: how much of the cell is done, in [0, 1].
        """
        now = time.monotonic()
        self.seconds[phase] += now - self._last
        self._last, self.share = now, share
        if now - self._written > _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write the file now."""
        self._written = time.monotonic()
        write_text(self._path, json.dumps({"seconds": self.seconds, "share": round(self.share, 4)}) + "\n")

    def callback(self, phase: str, start: float, end: float) -> Callable[..., None]:
        """What long work reports to: with done and in all, and whatever follows.

        Args:
            phase: what is done.
            start: share of the cell that is done at its beginning.
            end: and at its end.
        """

        def report(done: int, total: int, *_: object) -> None:
            self.tick(phase, start + (end - start) * min(1.0, done / max(1, total)))

        return report


def share_done(path: Path) -> float:
    """How much of a cell is done, by its file; 0 where there is none."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["share"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
