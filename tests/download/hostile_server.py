"""A server on this machine that serves one file, and misbehaves as its answers say."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local_server import running


@dataclass(frozen=True)
class Answer:
    """How to answer a request.

    Attributes:
        content: of the file.
        etag: of the file; "" for none.
        status: other than 200 and 206, an error or a redirect.
        location: where a redirect leads.
        cut_after: close the connection after so many bytes of this answer.
        length: the Content-Length to claim; -1 for none.
        chunked: send chunks in place of a length.
        ranges: whether `Range` is heeded.
        if_range: whether `If-Range` is heeded.
        shift: start a part so many bytes too late.
        kind: the Content-Type.
    """

    content: bytes
    etag: str = '"1"'
    status: int = 200
    location: str = ""
    cut_after: int | None = None
    length: int | None = None
    chunked: bool = False
    ranges: bool = True
    if_range: bool = True
    shift: int = 0
    kind: str = "application/octet-stream"


@dataclass
class HostileServer:
    """The answers to give, the last one for ever, and what was asked for."""

    address: str
    answers: list[Answer] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)

    def next(self, asked: str) -> Answer:
        self.ranges.append(asked)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def hostile_server(answers: Sequence[Answer]) -> Iterator[HostileServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = served.next(self.headers.get("Range", ""))
            self.close_connection = True
            start = self._start(answer)
            if start is None:
                self._head(416, {"Content-Range": f"bytes */{len(answer.content)}", "Content-Length": "0"})
                return
            body = answer.content[start:]
            headers = {"Content-Type": answer.kind} | ({"ETag": answer.etag} if answer.etag else {})
            status = answer.status
            if start and status == 200:
                status = 206
                whole = len(answer.content)
                headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
            if answer.location:
                headers["Location"], body = answer.location, b""
            if answer.chunked:
                headers["Transfer-Encoding"] = "chunked"
            elif answer.length != -1:
                headers["Content-Length"] = str(len(body) if answer.length is None else answer.length)
            self._head(status, headers)
            self._body(answer, body)

        def _start(self, answer: Answer) -> int | None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            changed = answer.if_range and self.headers.get("If-Range", answer.etag) != answer.etag
            if not asked or not answer.ranges or changed:
                return 0
            start = int(asked[1]) + answer.shift
            return start if start < len(answer.content) else None

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()

        def _body(self, answer: Answer, body: bytes) -> None:
            sent = body[: answer.cut_after]
            if not answer.chunked:
                self.wfile.write(sent)
                return
            for begin in range(0, len(sent), 50_000):
                piece = sent[begin : begin + 50_000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if answer.cut_after is None:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = HostileServer(f"http://127.0.0.1:{server.server_port}/", list(answers))
    with running(server):
        yield served
