"""Who may talk to the server: its own page on this machine, with the token, and nobody else.

Plain ASGI, so that streams pass through it piece by piece.
"""

import html
import ipaddress
import json
import logging
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "dextr_vos_token"
TOKEN = "token"
TOKEN_HEADER = "x-dextr-vos-token"
MOST_BODY_BYTES = 1_000_000
_HERE = "here"  # in the address once it was sent on, so that this happens once
_MOST_TOKENS = 8  # of servers on other ports: a browser sends its cookies to all ports of a host

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
    """A request's body, until it is too long."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._taken = receive, 0

    @property
    def too_large(self) -> bool:
        """Whether it is larger than any the page sends."""
        return self._taken > MOST_BODY_BYTES

    async def receive(self) -> Message:
        """See ASGI; nothing more comes of a body that is too large."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            if self.too_large:
                return {"type": "http.disconnect"}
        return message


class Auth:
    """Lets through only what comes from the page.

    Args:
        app: what it guards.
        token: that the printed address holds.
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
            await _answer(send, *refused)
            return
        if self._comes_from_elsewhere(scope, headers):
            await _send_on(send, f"/?{TOKEN}={self._token}&{_HERE}")
            return
        body, sent = _Body(receive), False

        async def guarded_send(message: Message) -> None:
            nonlocal sent
            if body.too_large:
                return  # whatever was made of a part of it
            if message["type"] == "http.response.start":
                sent = True
                MutableHeaders(scope=message).update(SAFE_HEADERS)
            await send(message)

        try:
            await self._app(scope, body.receive, guarded_send)
        except Exception:
            log.exception("%s %s", scope["method"], scope["path"])
            if not sent:
                await _answer(send, 500, "something went wrong in the server, its log says what")
            return
        if body.too_large and not sent:
            await _answer(send, *_TOO_LARGE)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not host_is_known(host, self._host):
            return 400, f"this server does not answer to the host {host!r:.100}; open the printed address"
        if scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
            return None  # the page itself looks at the token: it sets the cookie
        by_header = same(headers.get(TOKEN_HEADER, ""), self._token)
        if not by_header and not has_cookie(headers.get("cookie", ""), self._token):
            return 403, "the token is missing or wrong; open the address that dextr-vos annotate printed"
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if origin is None and not by_header:
                return 403, "a change must come from the page itself or carry the token in a header"
            if origin is not None and origin != f"http://{host}":
                return 403, f"a change must come from the page itself, not from {origin!r:.100}"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BODY_BYTES:
            return _TOO_LARGE
        return None

    def _comes_from_elsewhere(self, scope: Scope, headers: Headers) -> bool:
        """Whether a file or another site opened the page: the browser keeps strict cookies back then."""
        if scope["path"] != "/" or headers.get("sec-fetch-site") != "cross-site":
            return False
        asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return same(asked.get(TOKEN, [""])[0], self._token) and _HERE not in asked


_TOO_LARGE = (413, f"the request is too large; expected at most {MOST_BODY_BYTES // 1000} kB")


def host_is_known(header: str, host: str) -> bool:
    """Whether a Host header names this machine; a name of somebody else's that leads here is refused.

    Args:
        header: its value, with or without a port.
        host: that the server listens on; where that is every address, any address will do, but no name.
    """
    name = header.rsplit("]", 1)[0] + "]" if header.startswith("[") else header.partition(":")[0]
    name = name.strip("[]").lower()
    if name in ("127.0.0.1", "localhost", "::1") or (name and name == host.strip("[]").lower()):
        return True
    if host in ("0.0.0.0", "::"):
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == socket.gethostname().lower()
        return True
    return False


def same(given: str, token: str) -> bool:
    """Whether a token is the right one, in a time that does not tell how near it is."""
    return secrets.compare_digest(given.encode(), token.encode())


def has_cookie(header: str, token: str) -> bool:
    """Whether a Cookie header holds the token."""
    return any(same(each, token) for each in cookie_tokens(header))


def cookie_tokens(header: str) -> list[str]:
    """The tokens in a Cookie header: this server's and those of others on the same host."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return []
    return [] if morsel is None else [each for each in morsel.value.split(".") if each][:_MOST_TOKENS]


def cookie_with(header: str, token: str) -> str:
    """The cookie's new value: the token, and those of other servers that it held."""
    others = [each for each in cookie_tokens(header) if not same(each, token)]
    return ".".join([token, *others][:_MOST_TOKENS])


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}, ensure_ascii=False).encode()
    await _send(send, status, "application/json", body)


async def _send_on(send: Send, address: str) -> None:
    """Have the page opened once more, by a page of this server."""
    await _send(send, 200, "text/html; charset=utf-8", leading_to(address).encode())


def leading_to(address: str) -> str:
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
