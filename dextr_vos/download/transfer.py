"""One file over HTTP, which is resumed where it was cut and is there only when it is whole.

What has come so far is `<file>.part`, and beside it `<file>.part.json` says of which file at the server it
is a part: its address, its length, and its ETag or date. A part is continued (`Range`, `If-Range`; RFC 9110)
only while these still hold.
"""

import errno
import hashlib
import http.client
import json
import logging
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from dextr_vos import __version__
from dextr_vos.errors import DextrVosError, InputError, Interrupted
from dextr_vos.files import read_json, sync, write_text
from dextr_vos.interrupt import StopAsked, never

log = logging.getLogger(__name__)

# done and in all, in bytes
OnBytes = Callable[[int, int], None]

# seconds to wait before each further try; all are tried again once a try has brought some progress
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
_PROGRESS_BYTES = 2**20
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 2**20
_ARCHIVES = (".zip", ".tgz", ".tar")  # which need room for what they hold, too
_MARGIN_BYTES = 50 * 10**6  # left free on the disk
# what a write says without the name of its file, as the network does
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
# how the contents of files begin, by the end of their names
_BEGINNINGS = {
    ".zip": (b"PK",),
    ".tgz": (b"\x1f\x8b",),
    ".h5": (b"\x89HDF\r\n\x1a\n",),
    ".pth": (b"PK", b"\x80"),
}
_WEB_PAGE = re.compile(rb"\s*(<!doctype html|<html|<\?xml)", re.IGNORECASE)
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")


class _CutError(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True)
class _Part:
    """Of which file at the server a part is.

    Attributes:
        url: its address.
        validator: its ETag or date of change; "" when the server says neither.
        total: its length in bytes; None when the server does not say.
    """

    url: str
    validator: str
    total: int | None


class Transfer:
    """The download of one file.

    Args:
        url: its address, http or https.
        target: file to write.
        limit_bytes: a longer file is refused.
        checksum: "sha256:…" or "md5:…" of the file; "" where it is not known.
        on_bytes: called as bytes arrive.
        stop_asked: asked all the time whether to stop.
        pauses_s: see `PAUSES_S`.
    """

    def __init__(
        self,
        url: str,
        target: Path,
        limit_bytes: int,
        checksum: str = "",
        on_bytes: OnBytes = lambda done, total: None,
        stop_asked: StopAsked = never,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._url, self._target, self._limit, self._checksum = url, target, limit_bytes, checksum
        self._on_bytes, self._stop_asked, self._pauses_s = on_bytes, stop_asked, pauses_s
        self._part = target.with_name(f"{target.name}.part")
        self._record = target.with_name(f"{target.name}.part.json")
        self._opener = urllib.request.build_opener(_SafeRedirects)

    def run(self, check: Callable[[Path], object] = lambda path: None) -> None:
        """Download the file; when this returns, it is there and whole.

        Args:
            check: called with the path of the finished part; what it raises refuses the file.

        Raises:
            InputError: the file cannot be had, or is not the one that was published.
            Interrupted: a stop was asked for; the part is kept.
        """
        self._target.parent.mkdir(parents=True, exist_ok=True)
        tries_left, most = list(self._pauses_s), self._size()
        while True:
            try:
                self._receive()
                break
            except (_CutError, http.client.HTTPException, OSError) as error:
                if isinstance(error, OSError) and (error.filename or error.errno in _DISK_ERRORS):
                    error.filename = error.filename or str(self._part)
                    raise
                # of the most that was ever there: a part that is removed and comes again is no progress
                if self._size() - most >= _PROGRESS_BYTES:
                    tries_left, most = list(self._pauses_s), self._size()
                if not tries_left:
                    raise InputError(
                        f"cannot download {self._url}: {_reason(error)}, {1 + len(self._pauses_s)} times; "
                        "what has come is kept, and the same command resumes"
                    ) from None
                log.info("%s: %s; trying again", self._target.name, _reason(error))
                self._pause(tries_left.pop(0))
        try:
            self._check_sum()
            check(self._part)
        except DextrVosError as error:
            self._discard()
            raise InputError(f"{self._url} was downloaded and removed: {error}") from None
        sync(self._part)
        self._part.replace(self._target)
        self._record.unlink(missing_ok=True)

    def _receive(self) -> None:
        """Get the file, or what is missing of it."""
        part = self._known_part()
        have = self._size() if part else 0
        headers = {"User-Agent": f"dextr-vos/{__version__}", "Accept-Encoding": "identity"}
        if part and have:
            headers |= {"Range": f"bytes={have}-"} | ({"If-Range": part.validator} if part.validator else {})
        try:
            request = urllib.request.Request(self._url, headers=headers)
            answer = self._opener.open(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            with error:
                if self._is_whole(error, have):
                    return
                raise _CutError(f"the server answers {error.code} {_reason(error)}") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise _CutError("the server does not answer") from None
            raise InputError(f"cannot reach {self._url}: {error.reason}") from None
        except (http.client.InvalidURL, ValueError) as error:  # of a redirect, too
            raise InputError(f"cannot reach {self._url}: {error}") from None
        with answer:
            if have and answer.status != HTTPStatus.PARTIAL_CONTENT:
                log.info("%s: the server has another file now, or cannot resume", self._target.name)
            start, total = self._start(answer, part, have)
            self._check_answer(answer, start, total)
            if start == 0:
                self._discard()  # never an old part with a new record
                write_text(self._record, json.dumps(asdict(_Part(self._url, _validator(answer), total))))
            try:
                self._write(answer, start, total)
            except InputError:
                self._discard()
                raise

    def _is_whole(self, error: urllib.error.HTTPError, have: int) -> bool:
        """Whether an error means that the part is the whole file; raises where trying again is of no use."""
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            found = _RANGE.fullmatch(error.headers.get("Content-Range", ""))
            if found and int(found[2]) == have:
                return True
            self._discard()
            return False
        if error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in _AGAIN:
            raise InputError(
                f"cannot download {self._url}: the server answers {error.code} {_reason(error)}; the file "
                "may have moved, see --mirror"
            ) from None
        return False

    def _start(self, answer: Any, part: _Part | None, have: int) -> tuple[int, int | None]:
        """Where in the file an answer starts, and how long the file is."""
        length = answer.headers.get("Content-Length", "")
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            return 0, int(length) if length.isdecimal() else None
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        same_range = found and part and (found[1], found[2]) == (str(have), str(part.total))
        same_file = part and _validator(answer) in ("", part.validator)
        if not part or not same_range or not same_file:
            self._discard()
            raise _CutError("the server sent a part of another file")
        return have, part.total

    def _check_answer(self, answer: Any, start: int, total: int | None) -> None:
        """Refuse what cannot be the file, before it is written."""
        if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise InputError(self._web_page())
        if total is None and not self._checksum and answer.headers.get("Transfer-Encoding") != "chunked":
            raise InputError(f"the server does not say how long {self._url} is; take another --mirror")
        if total is not None and total > self._limit:
            raise InputError(
                f"{self._url} has {total} bytes, expected at most {self._limit}; it is not the published file"
            )
        size = total or self._limit // 2
        unpacked = size if self._target.suffix in _ARCHIVES else 0
        needed = size - start + unpacked + _MARGIN_BYTES
        free = shutil.disk_usage(self._target.parent).free
        if free < needed:
            raise InputError(
                f"{self._target.name} needs {needed / 1e9:.1f} GB in {self._target.parent}, where "
                f"{free / 1e9:.1f} GB are free; make room, or give another folder with --out"
            )

    def _write(self, answer: Any, start: int, total: int | None) -> None:
        done = start
        with self._part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            while content := answer.read1(_CHUNK_BYTES):
                if done == 0:
                    self._check_beginning(content)
                done += len(content)
                if done > self._limit:
                    raise InputError(
                        f"{self._url} is longer than {self._limit} bytes; it is not the published file"
                    )
                file.write(content)
                self._on_bytes(done, max(done, total or self._limit // 2))
                self._stop()
        if total is not None and done < total:
            raise _CutError(f"the connection ended after {done} of {total} bytes")
        if done == 0:
            raise InputError(f"the server sent nothing for {self._url}; take another --mirror")

    def _check_beginning(self, content: bytes) -> None:
        wanted = _BEGINNINGS.get(Path(self._target.name).suffix, ())
        if _WEB_PAGE.match(content):
            raise InputError(self._web_page())
        # a first piece may be shorter than the beginning
        if wanted and not any(content.startswith(each[: len(content)]) for each in wanted):
            raise InputError(
                f"the server sent something else than a {self._target.suffix} file for {self._url}; take "
                "another --mirror"
            )

    def _web_page(self) -> str:
        return (
            f"the server sent a web page for {self._url}; the file has moved or needs a login, see --mirror"
        )

    def _check_sum(self) -> None:
        if not self._checksum:
            return
        algorithm, _, expected = self._checksum.partition(":")
        with self._part.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != expected:
            raise InputError(
                f"it has the {algorithm} {found}, expected {expected}, so it was damaged on the way or is "
                "not the published file; try again, or take another --mirror"
            )

    def _known_part(self) -> _Part | None:
        """What is known of the part; None when it has to begin again."""
        try:
            part = _Part(**read_json(self._record))
        except (InputError, TypeError):
            return None
        known = bool(part.validator) or bool(self._checksum)  # without either two files could be mixed
        return part if known and part.url == self._url and part.total is not None else None

    def _size(self) -> int:
        try:
            return self._part.stat().st_size
        except FileNotFoundError:
            return 0

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._stop()
            time.sleep(min(0.1, seconds))

    def _stop(self) -> None:
        if self._stop_asked():
            raise Interrupted(f"stopped while downloading {self._target.name}; the same command resumes")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise InputError(
                f"{req.full_url} leads to {newurl}, which is not encrypted; take another --mirror"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _validator(answer: Any) -> str:
    """What `If-Range` compares: a strong ETag, or the date of the last change."""
    etag = str(answer.headers.get("ETag", ""))
    return etag if etag.startswith('"') else str(answer.headers.get("Last-Modified", ""))


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return str(error.reason).splitlines()[0]
    if isinstance(error, TimeoutError):
        return "the server stopped sending"
    if isinstance(error, http.client.HTTPException | ConnectionError):
        return f"the connection was cut ({type(error).__name__})"
    return str(error)
