"""Edits of objects as a whole: each is a value that says what to do, and makes one entry of the history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dextr_vos.annotation.annotations import Annotations
from dextr_vos.web import edits
from dextr_vos.workspace import run_object_names

if TYPE_CHECKING:
    from dextr_vos.web.store import AnnotationStore


@dataclass(frozen=True)
class Edited:
    """What an edit makes of a document.

    Attributes:
        before: the document, with the layers known of all objects that the edit changes.
        after: the document after it.
        label: what the edit is called in the history.
        object_id: of an object that it has added, or None.
        warnings: what it has not done as one may expect, as sentences without full stops.
    """

    before: Annotations
    after: Annotations
    label: str
    object_id: int | None = None
    warnings: tuple[str, ...] = ()


class Edit(Protocol):
    """A change that a person makes.

    Attributes:
        index: of the frame that it is about, whose propagated mask becomes a correction first; None where
            it concerns no single frame.
    """

    @property
    def index(self) -> int | None:
        """See the class."""
        ...

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """The document after the edit.

        Args:
            store: finds and keeps layers.
            document: with the layers of the frame `index` known.

        Raises:
            InputError: the edit is not possible.
        """
        ...


@dataclass(frozen=True)
class AddObject:
    """Add an object on top of the others."""

    name: str | None
    colour: str | None
    index: int | None = None

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        in_masks = run_object_names(store.workspace.run)  # those of deleted objects, too
        after, object_id = edits.new_object(document, self.name, self.colour, in_masks)
        return Edited(document, after, f"new {edits.entry_of(after, object_id).name}", object_id)


@dataclass(frozen=True)
class ChangeObject:
    """Change an object's name, colour or visibility."""

    object_id: int
    changes: Mapping[str, Any] = field(hash=False)
    index: int | None = None

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        entry = edits.entry_of(document, self.object_id)
        after = edits.with_entry(document, entry.model_copy(update=dict(self.changes)))
        what = " and ".join(sorted(self.changes)) or "nothing"
        return Edited(document, after, f"{what} of {entry.name}")


@dataclass(frozen=True)
class DeleteObject:
    """Delete an object from the list and from every frame."""

    object_id: int
    index: int | None = None

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        entry = edits.entry_of(document, self.object_id)
        before = with_layers_of(store, document, {self.object_id})
        return Edited(before, edits.without_object(before, self.object_id), f"{entry.name} deleted")


@dataclass(frozen=True)
class OrderObjects:
    """Draw the objects in another order, the last one on top."""

    object_ids: Sequence[int]
    index: int | None = None

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        after, before = edits.reordered(document, self.object_ids), document
        for name, frame in edits.annotated(document).items():
            if len(frame.objects) > 1:
                before = store.with_layers(name, before)
        return Edited(before, before.model_copy(update={"objects": after.objects}), "order of objects")


def with_layers_of(store: "AnnotationStore", document: Annotations, object_ids: set[int]) -> Annotations:
    """The document with the layers known in all frames that have one of these objects."""
    for name, frame in edits.annotated(document).items():
        if object_ids & frame.objects.keys():
            document = store.with_layers(name, document)
    return document
