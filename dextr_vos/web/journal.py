"""Undo and redo that survive a killed process: an append-only journal beside the document.

A change goes to the journal first, then to the masks, then to `annotations.json`. Each line holds the digests
of the document before and after it. So whoever opens the workspace can tell whether the last change arrived
(`after` is there), was cut off (`before` is there; it is made again), or whether somebody else has changed
the document since (neither is there; the history begins anew).
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dextr_vos.files import write_text

MOST_CHANGES = 500
_MOST_LINES = 4 * MOST_CHANGES

Part = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What one edit did.

    Attributes:
        label: for people.
        index: of the frame to look at, None where the change is on no single frame.
        before: the parts of the document that it changed, as they were.
        after: the same parts as they are now.
    """

    label: str
    index: int | None
    before: Part
    after: Part


@dataclass(frozen=True)
class Line:
    """One line of the journal.

    Attributes:
        kind: "do"; "amend", a "do" that continues the last one; "undo"; "redo"; "note", no change to undo.
        documents: digests of the document before and after.
        change: with "do" and "amend".
        seconds: frame, object and time spent on it.
    """

    kind: str
    documents: tuple[str, str]
    change: Change | None = None
    seconds: tuple[str, int, float] | None = None

    def as_json(self) -> str:
        """The line as it is written."""
        content: dict[str, Any] = {"kind": self.kind, "documents": self.documents}
        if self.change is not None:
            content["change"] = vars(self.change)
        if self.seconds is not None:
            content["seconds"] = self.seconds
        return json.dumps(content, ensure_ascii=False)

    @staticmethod
    def of(text: str) -> "Line":
        """The line in a text; ValueError, KeyError or TypeError where it is none."""
        content = json.loads(text)
        change = Change(**content["change"]) if "change" in content else None
        seconds = tuple(content["seconds"]) if "seconds" in content else None
        before, after = content["documents"]
        return Line(str(content["kind"]), (before, after), change, seconds)


class History:
    """The journal and the two stacks it makes.

    Args:
        path: of the journal.
        writable: False looks only.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self.path, self._writable = path, writable
        self.last: Line | None = None
        self._done: list[Change] = []
        self._undone: list[Change] = []
        self._lines = 0
        self._read()

    @property
    def undo_label(self) -> str | None:
        """What would be undone."""
        return self._done[-1].label if self._done else None

    @property
    def redo_label(self) -> str | None:
        """What would be redone."""
        return self._undone[-1].label if self._undone else None

    def to_undo(self) -> Change | None:
        """The change that undo takes back."""
        return self._done[-1] if self._done else None

    def to_redo(self) -> Change | None:
        """The change that redo makes again."""
        return self._undone[-1] if self._undone else None

    def append(self, line: Line) -> None:
        """Write a line, and take it up."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("a", encoding="utf-8") as journal:
                journal.write(line.as_json() + "\n")
        except OSError:
            with suppress(OSError):
                os.truncate(self.path, before)  # half a line would spoil the next one
            raise
        self._take(line)

    def tidy(self) -> None:
        """Make a long journal short; only once the last line's document is written."""
        if self._lines > _MOST_LINES:
            self.compact()

    def begin_anew(self) -> None:
        """Forget everything: somebody else has changed the document."""
        self._done, self._undone, self.last, self._lines = [], [], None, 0
        self.path.unlink(missing_ok=True)

    def compact(self) -> None:
        """Write the journal anew with what can still be undone or redone."""
        if self.last is None:
            return
        # a document's digest is "" where nothing more is known of it; only the last line's are looked at
        redo = list(reversed(self._undone))
        lines = [Line("do", ("", ""), change) for change in (*self._done, *redo)]
        lines += [Line("undo", ("", "")) for _ in redo]
        lines.append(replace(self.last, kind="note", change=None, seconds=None))
        write_text(self.path, "".join(line.as_json() + "\n" for line in lines))
        self._lines = len(lines)

    def layers(self) -> Iterator[str]:
        """Digests of all layers that an undo or a redo may need."""
        for change in (*self._done, *self._undone):
            for part in (change.before, change.after):
                for frame in part["frames"].values():
                    for clicked in ((frame["keyframe"] or {}).get("objects") or {}).values():
                        if clicked.get("layer"):
                            yield clicked["layer"]

    def _read(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content) and self._writable:
            # the process was killed within the line; its change was not accepted
            with self.path.open("r+b") as journal:
                journal.truncate(len(whole))
        for text in whole.decode("utf-8", errors="replace").split("\n")[:-1]:
            try:
                self._take(Line.of(text))
            except (ValueError, KeyError, TypeError, IndexError):
                self._done, self._undone = [], []  # damaged: nothing before it can be relied on

    def _take(self, line: Line) -> None:
        self._lines += 1
        if line.kind == "do" and line.change is not None:
            self._done.append(line.change)
            self._undone = []
        elif line.kind == "amend" and line.change is not None:
            self._done[-1] = line.change
            self._undone = []
        elif line.kind == "undo":
            self._undone.append(self._done.pop())
        elif line.kind == "redo":
            self._done.append(self._undone.pop())
        del self._done[:-MOST_CHANGES]
        self.last = line


def digest_of(text: str | None) -> str:
    """A digest of a document's text; of none, "none"."""
    return "none" if text is None else hashlib.sha256(text.encode()).hexdigest()


_SECONDS_OF_ONE_MOVE = 1.0


@dataclass(frozen=True)
class Move:
    """Another place for one point.

    Attributes:
        frame: its index.
        number: of the object.
        point: which one.
        at: when the request came, in seconds.
    """

    frame: int
    number: int
    point: int
    at: float

    def goes_on(self, last: "Move | None") -> bool:
        """Whether it continues the move before it; the person's pause counts, not the time a mask takes."""
        if last is None:
            return False
        same = (self.frame, self.number, self.point) == (last.frame, last.number, last.point)
        return same and self.at - last.at < _SECONDS_OF_ONE_MOVE


def moved(
    where: tuple[int, int], earlier: list[list[int]], now: list[list[int]], arrived: float
) -> Move | None:
    """The one point of a frame and object that another place was given to, if that is all that happened."""
    if len(earlier) != len(now):
        return None
    other = [place for place, pair in enumerate(zip(earlier, now, strict=True)) if pair[0] != pair[1]]
    return Move(*where, other[0], arrived) if len(other) == 1 else None


def what_happened(earlier: Sequence[object], now: Sequence[object]) -> str:
    """A change of points in words."""
    if len(now) > len(earlier):
        return "point"
    if len(now) < len(earlier):
        return "point taken back" if now else "points taken back"
    return "point moved"
