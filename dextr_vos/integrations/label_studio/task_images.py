"""The images of Label Studio's tasks: from Label Studio itself, from a web server, or from a local folder."""

import json
import logging
import threading
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import parse_qs, urljoin, urlsplit
from urllib.request import Request, urlopen

from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb, check_size, decode_rgb, image_errors, read_image, within_limit

log = logging.getLogger(__name__)

_LOCAL_FILES = "/data/local-files/"  # where Label Studio serves files of a folder on its own disk
_KEPT = 8  # images; each further click on one needs it again
_SECONDS = 30
_MAX_BYTES = 300_000_000
_JWT_PARTS = 3


class LabelStudioHost:
    """Where Label Studio is, and what lets one in.

    Args:
        address: of its first page.
        token: an access token of a user, legacy or personal; none opens what is public alone.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address, self._token = address.rstrip("/") + "/", token

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
        answer: dict[str, Any] = json.loads(_fetched(request))
        return f"Bearer {answer['access']}"


class TaskImages:
    """Reads the images of tasks, and keeps the last few.

    Args:
        host: Label Studio; None takes what it says of itself when a project is set up.
        folder: on this machine, which is the root of Label Studio's local files; None asks Label Studio.
    """

    def __init__(self, host: LabelStudioHost | None = None, folder: Path | None = None) -> None:
        self._host, self._fixed = host, host is not None
        self._folder = folder
        self._kept: OrderedDict[str, ImageRgb] = OrderedDict()
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
        with self._lock:
            image = self._kept.pop(source, None)
            if image is None:
                image = self._read(source)
            self._kept[source] = image
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return image

    def _read(self, source: str) -> ImageRgb:
        parts = urlsplit(source)
        if self._folder is not None and parts.path.startswith(_LOCAL_FILES) and not parts.scheme:
            return read_image(_inside(self._folder, parse_qs(parts.query).get("d", [""])[0]))
        if parts.scheme not in ("", "http", "https"):
            raise InputError(
                f"cannot fetch {source:.200}: expected an http address or a file that Label Studio serves; "
                "turn on pre-signed URLs of the cloud storage"
            )
        if not parts.scheme and self._host is None:
            raise InputError(
                f"cannot fetch {source:.200}: the address of Label Studio is not known; start dextr-vos "
                "label-studio with --url"
            )
        address = (
            urljoin(self._host.address, source.lstrip("/")) if self._host and not parts.scheme else source
        )
        request = Request(address)
        if self._host is not None and self._host.serves(address):
            authorization = self._host.authorization()
            if authorization is not None:
                # not sent again where a redirect leads, which may be to a cloud storage
                request.add_unredirected_header("authorization", authorization)
        return _decoded(_fetched(request), source)


def _inside(folder: Path, relative: str) -> Path:
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"the local file {relative!r:.200} is not inside {folder}")
    return path


def _fetched(request: Request) -> bytes:
    try:
        with urlopen(request, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_MAX_BYTES + 1)
    except HTTPError as error:
        advice = "; set LABEL_STUDIO_API_KEY to an access token" if error.code in (401, 403) else ""
        raise InputError(f"{request.full_url:.200} answered {error.code} {error.reason}{advice}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot fetch {request.full_url:.200}: {error}") from None
    if len(content) > _MAX_BYTES:
        raise InputError(f"{request.full_url:.200} is larger than {_MAX_BYTES // 1_000_000} MB")
    return content


def _decoded(content: bytes, source: str) -> ImageRgb:
    path, name = Path(source), f"the image {source:.200}"
    with image_errors(path), within_limit(BytesIO(content), name) as image:
        check_size((image.height, image.width), name)
        return decode_rgb(image, path)
