"""A published file: downloaded, checked, unpacked, and put in its place."""

import logging
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dextr_vos.download.archive import unpack
from dextr_vos.download.registry import PublishedFile
from dextr_vos.download.transfer import PAUSES_S, OnBytes, Transfer
from dextr_vos.errors import InputError
from dextr_vos.files import file_digest, refuse_links
from dextr_vos.folder_lock import FolderLock
from dextr_vos.interrupt import StopAsked, never

log = logging.getLogger(__name__)

PARTS = ".downloads"  # the folder in --out for what is not whole yet


@dataclass(frozen=True)
class FetchOptions:
    """Where to fetch from, how to check, and what to call meanwhile.

    Attributes:
        mirror: an address that has the file by its name, in place of the published one.
        check: called with the path of the file or folder before it takes its place, which may have another
            name; what it raises refuses it.
        on_bytes: called with a title, bytes done, and bytes in all.
        stop_asked: asked all the time whether to stop.
        pauses_s: see `transfer.PAUSES_S`.
    """

    mirror: str = ""
    check: Callable[[Path], object] = lambda path: None
    on_bytes: Callable[[str, int, int], None] = lambda title, done, total: None
    stop_asked: StopAsked = never
    pauses_s: tuple[float, ...] = PAUSES_S

    def reporting(self, title: str) -> OnBytes:
        """`on_bytes` with a title."""
        return lambda done, total: self.on_bytes(title, done, total)


def fetch(file: PublishedFile, out: Path, options: FetchOptions) -> tuple[Path, bool]:
    """Fetch a published file, unless what it becomes is there already.

    An archive is removed once it is unpacked. One that could not be unpacked because of a stop or a full disk
    is kept in the folder `.downloads`, like a part of a download. That is in `out`, or, where the folder to
    fill is a link to another disk, in that folder.

    Args:
        file: see `registry`.
        out: folder to fill.
        options: see `FetchOptions`.

    Returns:
        What it became, and whether it was there already.

    Raises:
        InputError: it cannot be had, or is not what was published; nothing takes its place.
        Interrupted: a stop was asked for; the same call resumes.
    """
    for folder in (out, *out.parents):
        if folder.is_file():
            raise InputError(f"{folder} is a file; expected a folder")
    final = out / file.becomes
    if final.exists():
        return final, True
    parts = _beside(out, final) / PARTS
    refuse_links(parts)
    with FolderLock(parts):
        whole = parts / file.name
        if not whole.exists():
            _transfer(file, whole, options)
        if file.inside is None:
            final.parent.mkdir(parents=True, exist_ok=True)
            whole.replace(final)
            return final, False
        try:
            on_bytes = options.reporting(f"unpacking {file.name}")
            unpack(whole, file.inside, final, on_bytes, options.stop_asked, options.check)
        except InputError:
            whole.unlink()
            raise
        whole.unlink()
    return final, False


def _beside(out: Path, final: Path) -> Path:
    """The folder from which a file can be moved to its place: a link may lead to another disk."""
    place = final.parent
    return place if place.exists() and place.stat().st_dev != out.stat().st_dev else out


def _url(base: str, name: str) -> str:
    """The address of a file in a folder on the web."""
    try:
        parts = urllib.parse.urlsplit(base)
        valid = parts.scheme in ("http", "https") and parts.hostname and not set(parts.netloc) & set(" \t")
        (parts.port, (parts.hostname or "").encode("idna"))  # these raise, too
    except ValueError:
        valid = False
    if not valid:
        raise InputError(f"expected a mirror that begins with http:// or https:// and a host, got {base}")
    path = urllib.parse.quote(f"{parts.path.rstrip('/')}/{name}", safe="/%:@!$&'()*+,;=~")
    return parts._replace(path=path, query="", fragment="").geturl()


def _transfer(file: PublishedFile, whole: Path, options: FetchOptions) -> None:
    url = _url(options.mirror or file.address, file.name)
    limit = 2 * file.size_mb * 10**6
    transfer = Transfer(
        url, whole, limit, file.checksum, options.reporting(file.name), options.stop_asked, options.pauses_s
    )
    transfer.run(options.check if file.inside is None else lambda path: None)
    if not file.checksum:
        log.info("%s: no checksum is published; sha256 %s", file.name, file_digest(whole))
