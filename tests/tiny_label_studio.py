"""A web server in place of Label Studio: serves one image, and notes what it was sent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local_server import running


class Host(ThreadingHTTPServer):
    """Answers `/data/upload/…` with `content`, `/moved` with a redirect to `elsewhere`."""

    def __init__(self, content: bytes, needs: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.needs, self.elsewhere = content, needs, ""
        self.refreshed: bytes | None = None
        self.sent: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        authorization = self.headers.get("authorization")
        self.server.sent.append(authorization)
        if self.server.needs not in (None, authorization):
            self.send_error(401)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("location", self.server.elsewhere)
            self.end_headers()
        else:
            self._answer(self.server.content)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        access = json.dumps({"access": f"minutes-{body['refresh']}"}).encode()
        self._answer(access if self.server.refreshed is None else self.server.refreshed)

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Nothing is printed."""


@contextmanager
def label_studio(content: bytes, needs: str | None = None) -> Iterator[Host]:
    """A host that runs; `needs` is the Authorization header without which it answers 401."""
    host = Host(content, needs)
    with running(host):
        yield host
