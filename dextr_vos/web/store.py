"""The document on disk: changes arrive in an order that a killed process cannot break.

Layers first, then the journal, then the masks of keyframes, `annotations.json` last. What was cut off is made
again when the workspace is opened.
"""

import json
import logging
from collections.abc import Iterable

import numpy as np

from dextr_vos.annotation.annotations import Annotations, ObjectEntry, as_text, default_name, load_annotations
from dextr_vos.errors import InputError
from dextr_vos.files import write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import Labels, object_ids, read_labels
from dextr_vos.web import edits
from dextr_vos.web.images import Images
from dextr_vos.web.journal import Change, History, Line, Part, digest_of
from dextr_vos.web.layers import LayerStore, composite, labels_png, write_bytes
from dextr_vos.web.run_results import file_digest
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

NO_ANNOTATIONS = Annotations(objects=(), keyframes={})


class SavedDocument:
    """A workspace's document, its keyframes' masks and its history, which change together.

    Not safe for threads; `Session` takes care of that.

    Args:
        workspace: its paths.
        pictures: what is annotated.
        writable: False looks only.
    """

    def __init__(self, workspace: Workspace, pictures: Images, writable: bool = True) -> None:
        self.workspace, self._pictures, self._writable = workspace, pictures, writable
        self._places: dict[str, int] = {}
        folder = workspace.path / "history"
        self.layers = LayerStore(folder / "layers")
        self.history = History(folder / "journal.jsonl", writable)
        self._checked: set[str] = set()
        self.digests: dict[str, str] = {}
        self.document = self._load()
        if writable:
            self._recover()
            self._adopt()
            self.history.tidy()
            self.layers.sweep({*self.history.layers(), *_layers_of(self.document)})
        self.digests = {name: file_digest(workspace.keyframe(name)) for name in self.document.keyframes}

    def commit(
        self,
        after: Annotations,
        label: str,
        index: int | None,
        *,
        before: Annotations | None = None,
        seconds: tuple[str, int, float] | None = None,
        amends: bool = False,
    ) -> None:
        """Save a change that can be undone.

        Args:
            after: the document as it shall be.
            label: what the change is called.
            index: of the frame to look at.
            before: the document with all layers known, where that is not the one that is saved.
            seconds: frame, object and time spent.
            amends: continues the last change; both are undone at once.
        """
        before = self.document if before is None else before
        names = touched(before, after)
        objects = before.objects != after.objects
        last = self.history.to_undo()
        change = Change(label, index, taken_out(before, names, objects), taken_out(after, names, objects))
        if amends and last is not None:
            change = Change(last.label, index, last.before, change.after)
        if seconds is not None:
            after = edits.with_seconds(after, *seconds)
        kind = "amend" if amends and last is not None else "do"
        documents = (digest_of(self._text()), digest_of(as_text(after)))
        self.history.append(Line(kind, documents, change, seconds))
        self._arrive(after, self._to_draw(after, names, objects))

    def undo(self) -> Change | None:
        """Take the last change back; None where there is none."""
        return self._move("undo", self.history.to_undo())

    def redo(self) -> Change | None:
        """Make the change again that was taken back last; None where there is none."""
        return self._move("redo", self.history.to_redo())

    def note(self, after: Annotations) -> None:
        """Save a change that is not to be undone."""
        names = touched(self.document, after)
        self.history.append(Line("note", (digest_of(self._text()), digest_of(as_text(after)))))
        self._arrive(after, [name for name in names if name in after.keyframes])

    def with_layers(self, name: str, document: Annotations | None = None) -> Annotations:
        """The document with the layers of a keyframe's objects known; those that are not are in its mask."""
        document = self.document if document is None else document
        keyframe = document.keyframes.get(name)
        if keyframe is None or not keyframe.objects or self._place(name) is None or name in self._checked:
            return document
        labels = self.labels(name)
        drawn = self._drawn(document, name)
        if labels is None or (drawn is not None and np.array_equal(drawn, labels)):
            self._checked.add(name)
            return document
        objects = {
            number: clicked.model_copy(update={"layer": self.layers.put(labels == number)})
            for number, clicked in keyframe.objects.items()
        }
        return edits.with_keyframe(document, name, keyframe.model_copy(update={"objects": objects}))

    def labels(self, name: str) -> Labels | None:
        """The mask of a keyframe as it is on disk."""
        path = self.workspace.keyframe(name)
        return read_labels(path, self.size_hw(name)) if path.exists() else None

    def layer(self, name: str, number: int, document: Annotations | None = None) -> BoolArray:
        """An object's own mask in a keyframe, H×W bool; nothing where it has none."""
        document = self.with_layers(name, document)
        size_hw = self.size_hw(name)
        clicked = document.keyframes.get(name, edits.EMPTY).objects.get(number)
        mask = None if clicked is None or clicked.layer is None else self.layers.get(clicked.layer, size_hw)
        return np.zeros(size_hw, dtype=bool) if mask is None else mask

    def flattened(self, name: str, document: Annotations) -> Annotations:
        """The document with each object's layer in a keyframe cut to what can be seen of it."""
        keyframe = document.keyframes[name]
        drawn = self._drawn(document, name)
        if drawn is None:
            return document
        objects = {
            number: clicked.model_copy(update={"layer": self.layers.put(drawn == number)})
            for number, clicked in keyframe.objects.items()
        }
        return edits.with_keyframe(document, name, keyframe.model_copy(update={"objects": objects}))

    def size_hw(self, name: str) -> tuple[int, int]:
        """Height and width of a frame."""
        place = self._place(name)
        if place is None:
            raise InputError(f"there is no picture '{name}' any more")
        return self._pictures.size_hw(place)

    def start_anew(self) -> None:
        """Forget all annotations; the document is kept aside, and the layers until the next session."""
        text = self._text()
        if text is not None:
            write_text(self.workspace.path / "annotations-before-reset.json", text)
        self.history.begin_anew()
        for name in self.document.keyframes:
            self.workspace.keyframe(name).unlink(missing_ok=True)
        write_text(self.workspace.annotations, as_text(NO_ANNOTATIONS))
        self.document, self.digests = NO_ANNOTATIONS, {}
        self._checked.clear()

    def _place(self, name: str) -> int | None:
        """Index of a picture; there may be more of them than there were."""
        if name not in self._places:
            self._places = {each: index for index, each in enumerate(self._pictures.names)}
        return self._places.get(name)

    def _move(self, kind: str, change: Change | None) -> Change | None:
        if change is None:
            return None
        part = change.before if kind == "undo" else change.after
        after = put_back(self.document, part)
        self.history.append(Line(kind, (digest_of(self._text()), digest_of(as_text(after)))))
        self._arrive(after, self._to_draw(after, list(part["frames"]), "objects" in part))
        return change

    def _arrive(self, after: Annotations, names: Iterable[str]) -> None:
        """Masks, then the document: the journal has the change already."""
        for name in names:
            self._draw(after, name)
        write_text(self.workspace.annotations, as_text(after))
        self.document = after
        self.history.tidy()

    def _to_draw(self, after: Annotations, names: list[str], objects: bool) -> list[str]:
        """Frames whose mask files may change; with the list of objects, all where some may overlap."""
        if not objects:
            return names
        several = [name for name, keyframe in after.keyframes.items() if len(keyframe.objects) > 1]
        return sorted({*names, *several})

    def _draw(self, document: Annotations, name: str) -> None:
        """Make a keyframe's mask what the document says, or remove it."""
        path = self.workspace.keyframe(name)
        if name not in document.keyframes:
            path.unlink(missing_ok=True)
            self.digests.pop(name, None)
            self._checked.discard(name)
            return
        drawn = self._drawn(document, name) if self._place(name) is not None else None
        if drawn is None:  # no layers are known: the mask is what it is
            return
        write_bytes(path, labels_png(drawn))
        self.digests[name] = file_digest(path)
        self._checked.add(name)

    def _drawn(self, document: Annotations, name: str) -> Labels | None:
        """The labels that the layers of a keyframe make; None where one is not known."""
        keyframe, size_hw = document.keyframes[name], self.size_hw(name)
        layers = {}
        for entry in document.objects:
            clicked = keyframe.objects.get(entry.id)
            if clicked is not None:
                mask = None if clicked.layer is None else self.layers.get(clicked.layer, size_hw)
                if mask is None:
                    return None
                layers[entry.id] = mask
        return composite(layers, size_hw)

    def _text(self) -> str | None:
        """The document's file as it is."""
        try:
            return self.workspace.annotations.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _load(self) -> Annotations:
        if not self.workspace.annotations.exists():
            return NO_ANNOTATIONS
        return load_annotations(self.workspace.annotations)

    def _recover(self) -> None:
        """Make the last change again if it was cut off; forget the history if it is not of this document."""
        last, here = self.history.last, digest_of(self._text())
        if last is None or here == last.documents[1]:
            return
        if here != last.documents[0]:
            log.info("%s was changed by somebody else; undo begins anew", self.workspace.annotations)
            self.history.begin_anew()
            return
        moved = {"undo": self.history.to_redo(), "redo": self.history.to_undo()}
        change = moved.get(last.kind, last.change)
        if change is None:  # a note; what it adopted is adopted again
            return
        part = change.before if last.kind == "undo" else change.after
        after = put_back(self.document, part)
        if last.seconds is not None:
            after = edits.with_seconds(after, *last.seconds)
        self._arrive(after, self._to_draw(after, list(part["frames"]), "objects" in part))
        log.info("the last change in %s had been cut off and is made again", self.workspace.path)

    def _adopt(self) -> None:
        """Bring masks and document together where somebody added or deleted masks among the keyframes."""
        after = self.document
        folder = self.workspace.keyframes
        files = {path.stem for path in folder.glob("*.png") if path.name[0] != "."}
        for name in sorted(files & set(self._pictures.names) - set(after.keyframes)):
            labels = read_labels(self.workspace.keyframe(name), self.size_hw(name))
            after = _with_entries(after, object_ids(labels))
            layers = {number: self.layers.put(labels == number) for number in object_ids(labels)}
            after = edits.with_keyframe(after, name, edits.taken_over(layers, settled=True))
        for name in sorted(set(after.keyframes) - files):
            for number, clicked in after.keyframes[name].objects.items():
                if clicked.points and number not in after.drafts.get(name, {}):
                    after = edits.with_draft(after, name, number, clicked.points)
            after = edits.without_keyframe(after, name)
        if after != self.document:
            self.history.append(Line("note", (digest_of(self._text()), digest_of(as_text(after)))))
            write_text(self.workspace.annotations, as_text(after))
            self.document = after


def _with_entries(document: Annotations, numbers: Iterable[int]) -> Annotations:
    """The document with all these objects listed."""
    listed = {entry.id for entry in document.objects}
    added = [
        ObjectEntry(id=number, name=default_name(number))
        for number in sorted(numbers)
        if number not in listed
    ]
    return document.model_copy(update={"objects": (*document.objects, *added)}) if added else document


def _layers_of(document: Annotations) -> Iterable[str]:
    for keyframe in document.keyframes.values():
        for clicked in keyframe.objects.values():
            if clicked.layer is not None:
                yield clicked.layer


def touched(before: Annotations, after: Annotations) -> list[str]:
    """Frames whose masks or drafts differ."""
    names = {*before.keyframes, *after.keyframes, *before.drafts, *after.drafts}
    return sorted(
        name
        for name in names
        if before.keyframes.get(name) != after.keyframes.get(name)
        or before.drafts.get(name) != after.drafts.get(name)
    )


def taken_out(document: Annotations, names: list[str], objects: bool) -> Part:
    """The frames of these names, and the list of objects where it is wanted, as plain values."""
    frames = {}
    for name in names:
        keyframe, drafts = document.keyframes.get(name), document.drafts.get(name)
        frames[name] = {
            "keyframe": None if keyframe is None else keyframe.model_dump(mode="json"),
            "drafts": None
            if drafts is None
            else {
                str(number): [point.model_dump(mode="json") for point in points]
                for number, points in drafts.items()
            },
        }
    part: Part = {"frames": frames}
    if objects:
        part["objects"] = [entry.model_dump(mode="json") for entry in document.objects]
    return part


def put_back(document: Annotations, part: Part) -> Annotations:
    """The document with those values in the place of its own."""
    content = document.model_dump(mode="json")
    content.setdefault("drafts", {})
    for name, frame in part["frames"].items():
        for key, value in (("keyframes", frame["keyframe"]), ("drafts", frame["drafts"])):
            if value is None:
                content[key].pop(name, None)
            else:
                content[key][name] = value
        content["keyframes"] = dict(sorted(content["keyframes"].items()))
        content["drafts"] = dict(sorted(content["drafts"].items()))
    if "objects" in part:
        content["objects"] = part["objects"]
    return Annotations.model_validate_json(json.dumps(content))
