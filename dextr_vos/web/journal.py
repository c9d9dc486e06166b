"""Undo and redo that survive a killed process: an append-only journal beside the document.

A change is written to the journal first, then to the masks, then to `annotations.json`. Each line holds the
digests of the document before and after the change. Whoever opens the workspace can therefore tell whether
the last change is complete (the document is the one after it), was cut off (the document is the one before
it, and what the change did to masks is taken back), or whether somebody else has changed the document since
(it is neither, and the history starts again).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dextr_vos.annotation.annotations import Annotations
from dextr_vos.errors import InputError
from dextr_vos.files import Unsynced, remove, sync, write_text

MAX_CHANGES = 500
_MAX_LINES = 4 * MAX_CHANGES
_LAYERS = ("layer", "base", "added", "erased")  # of an object in a keyframe, digests of masks

Diff = dict[str, Any]
"""Parts of a document as plain values: `frames`, by name; `objects` where the list of objects changed, and
`seconds` of the frames where time went from one object to another."""


@dataclass(frozen=True)
class Change:
    """What one edit did.

    Attributes:
        label: for people.
        index: of the frame to show, None where the change concerns no single frame.
        before: the parts of the document that it changed, as they were.
        after: the same parts as they are now.
        outline: which outline has made it; its later shapes take its place.
    """

    label: str
    index: int | None
    before: Diff
    after: Diff
    outline: str | None = None


@dataclass(frozen=True)
class Line:
    """One line of the journal.

    Attributes:
        kind: "do"; "amend", a "do" that continues the last one; "undo"; "redo"; "note", not to be undone.
        documents: digests of the document before and after.
        change: with "do" and "amend".
        seconds: frame, object id and time spent on the object.
    """

    kind: str
    documents: tuple[str, str]
    change: Change | None = None
    seconds: tuple[str, int, float] | None = None

    def as_json(self) -> str:
        """The line as it is written."""
        content: dict[str, Any] = {"kind": self.kind, "documents": self.documents}
        if self.change is not None:
            content["change"] = {key: value for key, value in vars(self.change).items() if key != "outline"}
            if self.change.outline is not None:
                content["change"]["outline"] = self.change.outline
        if self.seconds is not None:
            content["seconds"] = self.seconds
        return json.dumps(content, ensure_ascii=False)

    @staticmethod
    def parse(text: str) -> "Line":
        """The line in a text; an error of one of many kinds where there is none."""
        content = json.loads(text)
        change = Change(**content["change"]) if "change" in content else None
        for diff in () if change is None else (change.before, change.after):
            _convert_version_1(diff)
        seconds = tuple(content["seconds"]) if "seconds" in content else None
        before, after = content["documents"]
        return Line(str(content["kind"]), (before, after), change, seconds)


class History:
    """The journal and the two stacks it makes.

    The last line stays pending until its change is known to be made: undo and redo never speak of a change
    that a disk refused half-way.

    Args:
        path: of the journal.

    Attributes:
        last: the last line whose change is made.
        pending: the line after it, see `append`; also the last one of a journal that was read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: Line | None = None
        self.pending: Line | None = None
        self._done: list[Change] = []
        self._undone: list[Change] = []
        self._lines = 0
        self._sizes = (0, 0)  # of the journal in bytes, without its last line and with it
        self._read()

    @property
    def undo_label(self) -> str | None:
        """Label of the change that undo reverts."""
        return self._done[-1].label if self._done else None

    @property
    def redo_label(self) -> str | None:
        """Label of the change that redo makes again."""
        return self._undone[-1].label if self._undone else None

    def to_undo(self) -> Change | None:
        """The change that undo reverts."""
        return self._done[-1] if self._done else None

    def to_redo(self) -> Change | None:
        """The change that redo makes again."""
        return self._undone[-1] if self._undone else None

    def before_outline(self, document: Annotations, outline: str) -> Annotations:
        """The document as it was before an outline that has made the last changes.

        Raises:
            InputError: something else was changed since.
        """
        last = self.to_undo()
        if last is None or last.outline != outline or self.last is None or self.last.kind == "note":
            raise InputError(
                "the outline's corners cannot be moved any more: something else was changed since"
            )
        for change in takewhile(lambda each: each.outline == outline, reversed(self._done)):
            document = apply_diff(document, change.before)
        return document

    def append(self, line: Line, unsynced: Unsynced) -> None:
        """Write a line before its change is made, see `confirm` and `drop_pending`.

        Args:
            line: what follows the last one.
            unsynced: to be waited for before the change is made.

        Raises:
            OSError: the disk refuses it; nothing changes.
        """
        content = f"{line.as_json()}\n".encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            write_text(self.path, "", durable=True)
            self._sizes = (0, 0)
        before = self._sizes[1]
        with self.path.open("rb+") as journal:
            journal.truncate(before)  # of a line that was refused
            journal.seek(before)
            journal.write(content)
        unsynced.add(self.path)
        self._sizes = before, before + len(content)
        self.pending = line

    def confirm(self, digest: str) -> None:
        """Apply the pending line to the stacks, if this is the digest of the document after its change."""
        if self.pending is not None and self.pending.documents[1] == digest:
            self._apply(self.pending)

    def drop_pending(self) -> None:
        """Forget the pending line, whose change was not made."""
        with self.path.open("rb+") as journal:
            journal.truncate(self._sizes[0])
        sync(self.path)
        self._sizes, self.pending = (0, self._sizes[0]), None

    def tidy(self) -> None:
        """Shorten a long journal that has no pending line."""
        if self._lines > _MAX_LINES:
            self.compact()

    def clear(self) -> None:
        """Forget everything."""
        remove(self.path)
        self._read()

    def compact(self) -> None:
        """Rewrite the journal with what can still be undone or redone."""
        if self.last is None:
            return
        # of digests only those of the last line are ever compared; the others may be empty
        redo = list(reversed(self._undone))
        lines = [Line("do", ("", ""), change) for change in (*self._done, *redo)]
        lines += [Line("undo", ("", "")) for _ in redo]
        lines.append(replace(self.last, kind="note", change=None, seconds=None))
        texts = [line.as_json() + "\n" for line in lines]
        write_text(self.path, "".join(texts), durable=True)
        sizes = [len(text.encode()) for text in texts]
        self._sizes, self._lines = (sum(sizes[:-1]), sum(sizes)), len(lines)

    def layers(self) -> Iterator[str]:
        """Digests of all layers that an undo or a redo may need."""
        for change in (*self._done, *self._undone):
            for diff in (change.before, change.after):
                for clicks in _objects_in(diff):
                    yield from (clicks[key] for key in _LAYERS if isinstance(clicks.get(key), str))

    def _read(self) -> None:
        self._forget()
        self.last, self.pending, self._lines = None, None, 0
        content = self.path.read_bytes() if self.path.exists() else b""
        # where the process was killed within a line, its change was not accepted
        whole = content[: content.rfind(b"\n") + 1]
        self._sizes = whole.rfind(b"\n", 0, -1) + 1, len(whole)
        for text in whole.decode("utf-8", errors="replace").split("\n")[:-1]:
            if self.pending is not None:
                self._apply(self.pending)
            try:
                self.pending = Line.parse(text)
            except Exception:  # whatever is not as it should be in values of values
                self._forget()  # damaged: nothing before it can be relied on

    def _forget(self) -> None:
        self._done, self._undone = [], []

    def _apply(self, line: Line) -> None:
        self._lines, self.last, self.pending = self._lines + 1, line, None
        if line.kind == "do" and line.change is not None:
            self._done.append(line.change)
            self._undone = []
        elif line.kind == "amend" and line.change is not None and self._done:
            self._done[-1] = line.change
            self._undone = []
        elif line.kind == "undo" and self._done:
            self._undone.append(self._done.pop())
        elif line.kind == "redo" and self._undone:
            self._done.append(self._undone.pop())
        elif line.kind != "note":
            self._forget()  # damaged: what it changes is not there
        del self._done[:-MAX_CHANGES]


def _convert_version_1(diff: Diff) -> None:
    """Names of values as `annotations.json` has them since version 2: `engine` became `made_by`."""
    for clicks in _objects_in(diff):
        engine = clicks.pop("engine", None)
        if engine is not None:
            clicks["made_by"] = "paper" if engine == "dextr" else engine


def _objects_in(diff: Diff) -> Iterator[dict[str, Any]]:
    """The objects of all keyframes and corrections in a diff."""
    for frame in diff["frames"].values():
        for part in (frame["keyframe"], frame.get("correction")):
            yield from ((part or {}).get("objects") or {}).values()


def digest_of(text: str | None) -> str:
    """A digest of a document's text; "none" where there is no document."""
    return "none" if text is None else hashlib.sha256(text.encode()).hexdigest()


def changed_frames(before: Annotations, after: Annotations) -> list[str]:
    """Names of the frames whose masks, corrections or drafts differ."""
    pairs = (
        (before.keyframes, after.keyframes),
        (before.corrections, after.corrections),
        (before.drafts, after.drafts),
    )
    return sorted({name for old, new in pairs for name in {*old, *new} if old.get(name) != new.get(name)})


def extract_diff(document: Annotations, names: list[str], objects: bool, seconds: bool = False) -> Diff:
    """The frames of these names, and the list of objects and the time spent where they are wanted."""
    frames = {}
    for name in names:
        keyframe, correction = document.keyframes.get(name), document.corrections.get(name)
        drafts = document.drafts.get(name)
        frames[name] = {
            "keyframe": None if keyframe is None else keyframe.model_dump(mode="json"),
            "correction": None if correction is None else correction.model_dump(mode="json"),
            "drafts": None
            if drafts is None
            else {
                str(object_id): [point.model_dump(mode="json") for point in points]
                for object_id, points in drafts.items()
            },
        }
    diff: Diff = {"frames": frames}
    if objects:
        diff["objects"] = [entry.model_dump(mode="json") for entry in document.objects]
    if seconds:
        diff["seconds"] = {name: document.seconds.get(name, {}) for name in names}
    return diff


def apply_diff(document: Annotations, diff: Diff) -> Annotations:
    """The document with the values of a diff in place of its own."""
    content = document.model_dump(mode="json")
    keys = {"keyframe": "keyframes", "correction": "corrections", "drafts": "drafts"}
    for part, key in keys.items():
        values = content.get(key, {})
        for name, frame in diff["frames"].items():
            value = frame.get(part)  # older journals know no corrections
            if value is None:
                values.pop(name, None)
            else:
                values[name] = value
        content[key] = dict(sorted(values.items()))
    if "objects" in diff:
        content["objects"] = diff["objects"]
    if "seconds" in diff:
        spent = {**content.get("seconds", {}), **diff["seconds"]}
        content["seconds"] = {name: in_frame for name, in_frame in spent.items() if in_frame}
    try:
        return Annotations.model_validate_json(json.dumps(content))
    except ValidationError:
        raise InputError("the history is damaged there; nothing was changed") from None
