"""Access control: only the server's own page on this machine, with the token, may talk to it.

Plain ASGI, so that streams pass through it piece by piece.
"""

import html
import ipaddress
import json
import logging
import re
import secrets
import socket
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dextr_vos.errors import InputError

_COOKIE = "dextr_vos_token"
TOKEN = "token"
TOKEN_HEADER = "x-dextr-vos-token"
MAX_BODY_BYTES = 1_000_000
_REDIRECTED = "here"  # in the address after a redirect, so that there is only one

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


log = logging.getLogger(__name__)


class _Body:
    """The body of a request, cut off where it becomes too large."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._bytes = receive, 0

    @property
    def too_large(self) -> bool:
        """Whether it is larger than any that the page sends."""
        return self._bytes > MAX_BODY_BYTES

    async def receive(self) -> Message:
        """See ASGI; a body that is too large looks like a client that has left."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            if self.too_large:
                return {"type": "http.disconnect"}
        return message


class Auth:
    """Middleware that lets only requests of the page through.

    Args:
        app: the application that it protects.
        token: which the printed address contains.
        host: that the server listens on.
    """

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        self._app, self._token, self._host = app, token, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _send_error(send, *refused)
            return
        if self._is_cross_site(scope, headers):
            await _send_redirect(send, f"/?{TOKEN}={self._token}&{_REDIRECTED}")
            return
        body, sent = _Body(receive), False

        async def send_with_headers(message: Message) -> None:
            nonlocal sent
            if body.too_large:
                return  # the application has seen only a part of it
            if message["type"] == "http.response.start":
                sent = True
                MutableHeaders(scope=message).update(SAFE_HEADERS)
            await send(message)

        try:
            await self._app(scope, body.receive, send_with_headers)
        except Exception:
            log.exception("%s %s", scope["method"], scope["path"])
            if not sent:
                await _send_error(send, 500, "something went wrong in the server; its log says what")
            return
        if body.too_large and not sent:
            await _send_error(send, *_TOO_LARGE)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not host_is_known(host, self._host):
            return 400, f"this server does not answer to the host {host!r:.100}; open the printed address"
        if scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
            return None  # the route of the page checks the token itself: it sets the cookie
        by_header = tokens_equal(_header_token(headers), self._token)
        by_cookie = has_cookie(headers.get("cookie", ""), cookie_name(host), self._token)
        if not by_header and not by_cookie:
            return 403, "the token is missing or wrong; open the address that dextr-vos annotate printed"
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if origin is None and not by_header:
                return 403, "a change must come from the page itself or carry the token in a header"
            if origin is not None and origin != f"http://{host}":
                return 403, f"a change must come from the page itself, not from {origin!r:.100}"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return _TOO_LARGE
        return None

    def _is_cross_site(self, scope: Scope, headers: Headers) -> bool:
        """Whether a file or another site opened the page: the browser then holds back strict cookies."""
        if scope["path"] != "/" or headers.get("sec-fetch-site") != "cross-site":
            return False
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return tokens_equal(query.get(TOKEN, [""])[0], self._token) and _REDIRECTED not in query


_GOOD_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,200}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+)(:[0-9]*)?")
_TOO_LARGE = (413, f"the request is too large; expected at most {MAX_BODY_BYTES // 1000} kB")


def host_is_known(header: str, host: str) -> bool:
    """Whether a Host header names this machine; other names that resolve to it are refused (DNS rebinding).

    Args:
        header: its value, with or without a port.
        host: that the server listens on; where that is every address, any address is accepted, but no name.
    """
    known_form = _HOST.fullmatch(header)
    name = "" if known_form is None else known_form[1].strip("[]").lower()
    if name in ("127.0.0.1", "localhost", "::1") or (name and name == host.strip("[]").lower()):
        return True
    if host in ("0.0.0.0", "::"):
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == socket.gethostname().lower()
        return True
    return False


def _header_token(headers: Headers) -> str:
    """The token in the headers of a script's request."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else headers.get(TOKEN_HEADER, "")


def check_token(token: str) -> None:
    """Refuse a token that could be guessed, or that an address or a cookie cannot hold.

    Raises:
        InputError: it is one.
    """
    if not _GOOD_TOKEN.fullmatch(token):
        raise InputError(
            "expected in DEXTR_VOS_TOKEN at least 20 letters, digits, - and _, got something else; make one "
            'with: python -c "import secrets; print(secrets.token_urlsafe(24))"'
        )


def tokens_equal(given: str, token: str) -> bool:
    """Whether a token is the right one, in a time that does not depend on how similar they are."""
    return secrets.compare_digest(given.encode(), token.encode())


def cookie_name(host: str) -> str:
    """The name of this server's cookie: a browser sends the cookies of a host to all of its ports.

    Args:
        host: the Host header. Its port is the browser's own view, by which two servers differ that listen on
            the same port of two machines and are reached by SSH forwarding.
    """
    known_form = _HOST.fullmatch(host)
    port = "" if known_form is None else (known_form[2] or "").lstrip(":")
    return f"{_COOKIE}_{port or 80}"


def has_cookie(header: str, name: str, token: str) -> bool:
    """Whether a Cookie header contains the token in the cookie of this name."""
    # not by the standard library, which gives up at the first cookie of another program that it cannot read
    pairs = (part.partition("=") for part in header.split(";"))
    values = (value.strip().strip('"') for each, _, value in pairs if each.strip() == name)
    return any(tokens_equal(value, token) for value in values)


async def _send_error(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": message}, ensure_ascii=False).encode()
    await _send(send, status, "application/json", body)


async def _send_redirect(send: Send, address: str) -> None:
    """Let a page of this server open the address again."""
    await _send(send, 200, "text/html; charset=utf-8", redirect_page(address).encode())


def redirect_page(address: str) -> str:
    """An HTML page that opens an address of this server at once."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>dextr-vos</title>'
        f'<meta http-equiv="refresh" content="0; url={html.escape(address)}"></html>'
    )


async def _send(send: Send, status: int, kind: str, body: bytes) -> None:
    headers: dict[str, Any] = {
        **SAFE_HEADERS,
        "content-type": kind,
        "content-length": str(len(body)),
        "cache-control": "no-store",
    }
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
