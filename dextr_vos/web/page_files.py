"""The files of the page, served from memory."""

import hashlib
import mimetypes
from pathlib import Path

from fastapi import Request
from starlette.responses import Response

_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css", ".html": "text/html"}


class PageFiles:
    """All files of a folder as they are now, in memory: opening the page asks for some fifty of them at once.

    Args:
        folder: of the page.
    """

    def __init__(self, folder: Path) -> None:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        self._tags = {
            name: f'"{hashlib.sha256(content).hexdigest()[:20]}"' for name, content in self._files.items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def response(self, request: Request, name: str) -> Response:
        """A file, or 304 where the browser has it already; KeyError where there is none of this name."""
        headers = {"cache-control": "no-cache", "etag": self._tags[name]}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(self._files[name], media_type=kind, headers=headers)
