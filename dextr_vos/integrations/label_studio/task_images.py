"""The images of Label Studio's tasks: from Label Studio itself, from a web server, or from a local folder."""

import json
import logging
import threading
from collections import OrderedDict
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import Self
from urllib.error import HTTPError
from urllib.parse import SplitResult, parse_qs, quote, urljoin, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from pydantic import BaseModel, ValidationError

from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb, check_size, decode_rgb, image_errors, read_image, within_limit

log = logging.getLogger(__name__)

_LOCAL_FILES = "/data/local-files/"  # where Label Studio serves files of a folder on its own disk
_KEPT = 8  # images; each further click on one needs it again
_SECONDS = 30
_MAX_BYTES = 300_000_000
_JWT_PARTS = 3
_UNQUOTED = "%/:?[]@!$&'()*+,;=~"


class LabelStudioHost:
    """Where Label Studio is, and what lets one in.

    Args:
        address: of its first page.
        token: an access token of a user, legacy or personal; none opens what is public alone.

    Raises:
        InputError: the address is none of a web server.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address, self._token = _web_address(address).rstrip("/") + "/", token

    @classmethod
    def of_setup(cls, hostname: str | None, token: str | None) -> Self | None:
        """What a request to set up a project says; None where it says nothing."""
        return cls(hostname, token) if hostname else None

    def serves(self, address: str) -> bool:
        """Whether an address is one of its own, to which the token may be sent."""
        return urlsplit(address)[:2] == urlsplit(self.address)[:2]

    def authorization(self) -> str | None:
        """The header that lets one in; a personal token is exchanged for one that lasts minutes.

        Raises:
            InputError: it is refused.
        """
        if not self._token:
            return None
        if self._token.count(".") + 1 != _JWT_PARTS:
            return f"Token {self._token}"
        body = json.dumps({"refresh": self._token}).encode()
        request = Request(
            urljoin(self.address, "api/token/refresh"), body, {"content-type": "application/json"}
        )
        try:
            return f"Bearer {_Refreshed.model_validate_json(_fetched(request)).access}"
        except ValidationError:
            raise InputError(
                f"{request.full_url:.200} did not answer with a token; check the address of Label Studio"
            ) from None


class _Refreshed(BaseModel):
    """Label Studio's answer to a personal token."""

    access: str


class TaskImages:
    """Reads the images of tasks, and keeps the last few.

    Args:
        host: Label Studio; None takes what it says of itself when a project is set up.
        folder: on this machine, which is the root of Label Studio's local files; None asks Label Studio.
    """

    def __init__(self, host: LabelStudioHost | None = None, folder: Path | None = None) -> None:
        self._host, self._fixed = host, host is not None
        self._folder = folder
        self._kept: OrderedDict[tuple[str, str], ImageRgb] = OrderedDict()  # by host and source
        self._lock = threading.Lock()

    def offer_host(self, host: LabelStudioHost | None) -> None:
        """Take a host where none was given from the start."""
        if host is not None and not self._fixed:
            self._host = host

    def read(self, source: str) -> ImageRgb:
        """An image, H×W×3 uint8, as a browser shows it.

        Args:
            source: its address in the data of a task.

        Raises:
            InputError: it cannot be fetched or decoded.
        """
        host = self._host
        key = ("" if host is None else host.address, source)
        with self._lock:
            image = self._kept.pop(key, None)
        if image is None:  # fetched without the lock, so that a slow server holds up no other image
            image = self._read(source, host)
        with self._lock:
            self._kept[key] = image
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return image

    def _read(self, source: str, host: LabelStudioHost | None) -> ImageRgb:
        parts = _parts(source)
        if self._folder is not None and parts.path.startswith(_LOCAL_FILES) and not parts.scheme:
            return read_image(_inside(self._folder, parse_qs(parts.query).get("d", [""])[0]))
        if parts.scheme not in ("", "http", "https"):
            raise InputError(
                f"cannot fetch {source:.200}: expected an http address or a file that Label Studio serves; "
                "turn on pre-signed URLs of the cloud storage"
            )
        if not parts.scheme and host is None:
            raise InputError(
                f"cannot fetch {source:.200}: the address of Label Studio is not known; start dextr-vos "
                "label-studio with --url"
            )
        address = urljoin(host.address, source.lstrip("/")) if host and not parts.scheme else source
        request = Request(_web_address(address))  # joined, "/file:///x" has a scheme, too
        if host is not None and host.serves(address):
            authorization = host.authorization()
            if authorization is not None:
                # not sent again where a redirect leads, which may be to a cloud storage
                request.add_unredirected_header("authorization", authorization)
        return _decoded(_fetched(request), source)


def _inside(folder: Path, relative: str) -> Path:
    try:
        path = (folder / relative).resolve()
    except ValueError:
        raise InputError(f"the local file {relative!r:.200} has a name that no file has") from None
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"the local file {relative!r:.200} is not inside {folder}")
    return path


def _parts(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise InputError(f"cannot fetch {address:.200}: {error}") from None


def _web_address(address: str) -> str:
    """An address that may be fetched, with spaces and letters beyond ASCII quoted.

    Raises:
        InputError: it is none of a web server.
    """
    parts = _parts(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"cannot fetch {address:.200}: expected an address as http://HOST:PORT/…")
    path, query = (quote(part, safe=_UNQUOTED, errors="replace") for part in (parts.path, parts.query))
    return parts._replace(path=path, query=query).geturl()


def _http_opener() -> OpenerDirector:
    """Fetches from web servers alone, where redirects lead, too; the one of `urlopen` opens files."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPRedirectHandler(),
        HTTPErrorProcessor(),
        HTTPDefaultErrorHandler(),
        UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _fetched(request: Request) -> bytes:
    try:
        with _http_opener().open(request, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_MAX_BYTES + 1)
    except HTTPError as error:
        advice = "; set LABEL_STUDIO_API_KEY to an access token" if error.code in (401, 403) else ""
        raise InputError(f"{request.full_url:.200} answered {error.code} {error.reason}{advice}") from None
    except (OSError, ValueError, HTTPException) as error:
        raise InputError(f"cannot fetch {request.full_url:.200}: {error}") from None
    if len(content) > _MAX_BYTES:
        raise InputError(f"{request.full_url:.200} is larger than {_MAX_BYTES // 1_000_000} MB")
    return content


def _decoded(content: bytes, source: str) -> ImageRgb:
    path, name = Path(source), f"the image {source:.200}"
    with image_errors(path), within_limit(BytesIO(content), name) as image:
        check_size((image.height, image.width), name)
        return decode_rgb(image, path)
