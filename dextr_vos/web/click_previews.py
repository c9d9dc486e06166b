"""Previews of a click: the mask that it would make, for a pointer that rests. Nothing changes."""

import threading

import numpy as np

from dextr_vos.annotation.annotations import Kind, Point, timestamp
from dextr_vos.annotation.prompts import check_inside
from dextr_vos.web.edits import entry_of
from dextr_vos.web.layers import grey_png
from dextr_vos.web.session import Session


class ClickPreviews:
    """Makes one preview at a time; what was asked for before the latest request is not made any more.

    Args:
        session: whose edits go first.

    Attributes:
        asked: how many were asked for.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._making, self._counting = threading.Lock(), threading.Lock()
        self.asked = 0

    def png(self, index: int, object_id: int | None, x: int, y: int, kind: Kind) -> tuple[str, bytes] | None:
        """Source, "preview", and grey PNG, 0 and 255, of the mask that an object would have after a click.

        Args:
            index: of the frame.
            object_id: of the object; None for a new one.
            x: column of the pixel.
            y: row of the pixel.
            kind: "positive" or "negative".

        Returns:
            None where the click makes no mask, the segmenter is still being loaded, an edit is being made, or
            another preview was asked for meanwhile.

        Raises:
            InputError: the pixel is outside the image, or there is no such object.
        """
        session = self._session
        size_hw = session.images.size_hw(index)
        check_inside(np.array([(x, y)]), size_hw, f"frame '{session.images.names[index]}', preview")
        if object_id is not None:
            entry_of(session.document, object_id)
        with self._counting:
            self.asked += 1
            turn = self.asked
        with self._making:
            if turn != self.asked or not session.loader.ready or self._is_being_edited():
                return None
            document = session.document
            shown = np.zeros(size_hw, dtype=bool)
            if object_id is not None:
                shown = session.masks.of_object(document, index, object_id)
            click = Point(x=x, y=y, time=timestamp(), origin="human", kind=kind)
            mask = session.click_masks.preview(document, index, object_id, click, shown)
        return None if mask is None else ("preview", grey_png(np.where(mask, 255, 0).astype(np.uint8)))

    def _is_being_edited(self) -> bool:
        if not self._session.editing.acquire(blocking=False):
            return True
        self._session.editing.release()
        return False
