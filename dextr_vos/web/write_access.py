"""Whether this server may write into a workspace: not into one that another holds, or that is gone."""

from collections.abc import Callable
from pathlib import Path

from dextr_vos.folder_lock import FolderLock


class ReadOnlyError(Exception):
    """This server cannot change the workspace; the text is one sentence."""


class WriteAccess:
    """The right to write into a workspace, which may be lost while the page is open.

    Args:
        path: of the workspace.
        readonly: why nothing can be changed, or None.
        on_lost: called once when it is seen that the workspace was removed or replaced.

    Attributes:
        lock: of the workspace, where this server holds it.
    """

    def __init__(self, path: Path, readonly: str | None, on_lost: Callable[[], None]) -> None:
        self.readonly = readonly
        self.lock: FolderLock | None = None
        self._path, self._on_lost, self._is_lost = path, on_lost, False

    def check(self) -> None:
        """Refuse to write where that is not possible.

        Raises:
            ReadOnlyError: another server holds the workspace, or it was removed or replaced.
        """
        self.is_lost()
        if self.readonly is not None:
            raise ReadOnlyError(self.readonly)

    def is_lost(self) -> bool:
        """Whether the workspace was removed or replaced while it was open; that is final."""
        if not self._is_lost and self.lock is not None and not self.lock.is_held:
            self._is_lost = True
            self.readonly = (
                f"{self._path} was removed or replaced while the page was open, so nothing is written any "
                "more; put the folder back and start dextr-vos annotate again"
            )
            self._on_lost()
        return self._is_lost
