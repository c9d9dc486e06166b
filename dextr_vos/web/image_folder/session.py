"""The annotations of a folder's pictures: written masks are gone on with, and what has changed is told."""

from collections.abc import Callable

from dextr_vos.annotation.annotations import Annotations, ObjectEntry, default_name
from dextr_vos.masks import Labels, object_ids
from dextr_vos.web import edits
from dextr_vos.web.images import Images
from dextr_vos.web.run_results import RunMasks
from dextr_vos.web.segmenter_process import Engine
from dextr_vos.web.session import Session
from dextr_vos.workspace import Workspace


class FolderSession(Session):
    """See `Session`.

    Args:
        workspace: its paths.
        pictures: what is annotated.
        engine: makes masks of clicks.
        finished: the written mask that a change of a picture, by index, goes on from, or None.
        on_changed: is given the names of pictures whose annotations have changed, before any page hears.
        readonly: why nothing can be changed, or None.
    """

    def __init__(
        self,
        workspace: Workspace,
        pictures: Images,
        engine: Engine,
        finished: Callable[[int], Labels | None],
        on_changed: Callable[[set[str]], None],
        readonly: str | None = None,
    ) -> None:
        super().__init__(workspace, pictures, engine, RunMasks(None, ()), readonly)
        self._finished, self._on_changed = finished, on_changed
        self._known, self._known_digests = self.document, dict(self.digests)

    def changed(self) -> None:
        """See `Session`; the pictures that have changed are told of first."""
        with self._editing:
            names = _differing(self._known, self.document)
            old, new = self._known_digests, self.digests
            names |= {name for name in {*old, *new} if old.get(name) != new.get(name)}
            self._known, self._known_digests = self.document, dict(new)
            if names and self.readonly is None:
                self._on_changed(names)
        super().changed()

    def import_mask(self, index: int) -> None:
        """Make a finished picture's written mask its annotation, if it has no other; undo takes it out again.

        Raises:
            InputError: the mask cannot be used.
        """
        self._writable()
        name = self._name(index)
        with self._editing:
            if name not in self.document.keyframes:
                self._commit(self._opened(index, taking_over=True), f"mask of {name} taken up", index)

    def _opened(self, index: int, taking_over: bool, locked_too: bool = False) -> Annotations:
        """See `Session`; with the objects of a mask that was written before."""
        before = super()._opened(index, taking_over, locked_too)
        name = self._name(index)
        labels = None if not taking_over or name in before.keyframes else self._finished(index)
        if labels is None:
            return before
        numbers = object_ids(labels)
        listed = {entry.id for entry in before.objects}
        added = [ObjectEntry(id=each, name=default_name(each)) for each in numbers if each not in listed]
        layers = {each: self._saved.layers.put(labels == each) for each in numbers}
        before = before.model_copy(update={"objects": (*before.objects, *added)})
        return edits.with_keyframe(before, name, edits.taken_over(layers, settled=True))


def _differing(before: Annotations, after: Annotations) -> set[str]:
    """Images whose clicks differ; masks are told apart by their digests."""
    if before is after:
        return set()
    return {
        name
        for name in {*before.keyframes, *after.keyframes, *before.drafts, *after.drafts}
        if _clicks(before, name) != _clicks(after, name)
    }


def _clicks(document: Annotations, name: str) -> object:
    objects = document.keyframes.get(name, edits.EMPTY).objects
    return document.drafts.get(name), {number: clicked.points for number, clicked in objects.items()}
