"""The annotations of separate images: edits start from finished masks, and changed images are reported."""

from collections.abc import Callable

from dextr_vos.annotation.annotations import Annotations
from dextr_vos.masks import Labels, object_ids
from dextr_vos.web import edits
from dextr_vos.web.images import Images
from dextr_vos.web.run_masks import RunMasks
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.session import Session
from dextr_vos.workspace import Workspace


class FolderSession(Session):
    """See `Session`.

    Args:
        workspace: its paths.
        images: what is annotated.
        loader: loads the segmenter that makes masks of clicks.
        finished_mask: the finished mask of an image, by index, from which an edit starts, or None.
        on_changed: called with the names of images whose annotations have changed, before the pages are.
        readonly: why nothing can be changed, or None.
    """

    def __init__(
        self,
        workspace: Workspace,
        images: Images,
        loader: SegmenterLoader,
        finished_mask: Callable[[int], Labels | None],
        on_changed: Callable[[set[str]], None],
        readonly: str | None = None,
    ) -> None:
        super().__init__(workspace, images, loader, RunMasks(None, ()), readonly)
        self._finished_mask, self._on_changed = finished_mask, on_changed
        self._reported, self._reported_digests = self.document, dict(self.digests)

    def changed(self) -> None:
        """See `Session`; the images that have changed are reported first."""
        with self.editing:
            names = _images_with_other_clicks(self._reported, self.document)
            old, new = self._reported_digests, self.digests
            names |= {name for name in {*old, *new} if old.get(name) != new.get(name)}
            self._reported, self._reported_digests = self.document, dict(new)
            if names and self.readonly is None:
                self._on_changed(names)
        super().changed()

    def import_mask(self, index: int) -> None:
        """Make the finished mask of an image its annotation, if it has no other; undo removes it again.

        Raises:
            InputError: the mask cannot be used.
        """
        self.check_writable()
        name = self._name(index)
        with self.editing:
            if name not in self.document.keyframes:
                self._commit(self._prepared(index, import_mask=True), f"mask of {name} imported", index)

    def _prepared(self, index: int, import_mask: bool, even_if_locked: bool = False) -> Annotations:
        """See `Session`; with the objects of a finished mask."""
        before = super()._prepared(index, import_mask, even_if_locked)
        name = self._name(index)
        labels = self._finished_mask(index) if import_mask and name not in before.keyframes else None
        if labels is None:
            return before
        ids = object_ids(labels)
        keyframe = edits.imported_keyframe(self._store.put_layers(labels, ids))
        return edits.with_keyframe(edits.with_missing_objects(before, ids), name, keyframe)


def _images_with_other_clicks(before: Annotations, after: Annotations) -> set[str]:
    """Images whose clicks differ; whether masks do is seen from their digests."""
    if before is after:
        return set()
    return {
        name
        for name in {*before.keyframes, *after.keyframes, *before.drafts, *after.drafts}
        if _clicks(before, name) != _clicks(after, name)
    }


def _clicks(document: Annotations, name: str) -> object:
    objects = document.keyframes.get(name, edits.EMPTY).objects
    return document.drafts.get(name), {object_id: clicks.points for object_id, clicks in objects.items()}
