"""How far each picture of a folder is, kept over sessions: JSON, and never half written."""

import json
import logging
from pathlib import Path
from typing import Literal, cast, get_args

from dextr_vos.files import write_text

log = logging.getLogger(__name__)

FORMAT = "dextr-vos progress"
Status = Literal["open", "done", "skipped"]
_STATUSES = get_args(Status)


class ProgressFile:
    """Which pictures are done or skipped; what is not mentioned is open.

    Args:
        path: where it is kept. A file of another tool that is there stays, and ours is put beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = False
        content = _read(path)
        if content is None and path.exists():
            self.path = path.with_name(f"{path.name}.json")
            log.warning("%s is no progress file of dextr-vos and stays as it is; ours is %s", path, self.path)
            content = _read(self.path)
        self.is_new = content is None
        self._statuses = content or {}

    def status(self, name: str) -> Status:
        """Of a picture."""
        return self._statuses.get(name, "open")

    def known(self) -> set[str]:
        """Names of the pictures that it mentions."""
        return set(self._statuses)

    def set(self, statuses: dict[str, Status]) -> None:
        """Note how far pictures are, and save it."""
        self._statuses = {**self._statuses, **statuses}
        self._save()

    def reset(self) -> None:
        """All pictures are open again."""
        self._statuses = dict.fromkeys(self._statuses, "open")
        self._save()

    def _save(self) -> None:
        content = {"format": FORMAT, "version": 1, "pictures": dict(sorted(self._statuses.items()))}
        write_text(self.path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        self.is_new = False


def _read(path: Path) -> dict[str, Status] | None:
    """What a file holds; None where it is not there or not ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            return None
        pictures = content["pictures"].items()
        return {str(name): cast(Status, status) for name, status in pictures if status in _STATUSES}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
