"""A real server among connections that say nothing, or only a part of a request."""

import errno
import logging
import resource
import socket
import threading
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from dextr_vos.web import connections
from dextr_vos.web.connections import MAX_CONNECTIONS, LoopErrors
from dextr_vos.web.serve import _config, _Server, listen

SILENT = 1020


def small_app(ended: threading.Event) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def answer():
        return {}

    @app.get("/stream")
    def stream():
        def lines():
            yield "first"
            ended.wait(600)
            yield "last"

        return StreamingResponse(lines())

    return app


@contextmanager
def serving():
    """A server in a thread; its address."""
    ended, started = threading.Event(), threading.Event()
    listening = listen("127.0.0.1", 0)
    server = _Server(_config(small_app(ended)), lambda: None, started.set)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        assert started.wait(600)
        yield listening.getsockname(), ended
    finally:
        ended.set()
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def many_files():
    """As many open files as silent connections take, and those of the test run."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * SILENT
    if before[1] != resource.RLIM_INFINITY and before[1] < wanted:
        pytest.skip(f"needs {wanted} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], wanted), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_page_is_answered_among_a_thousand_silent_connections(many_files, caplog):
    with serving() as (address, ended), ExitStack() as stack:
        base = f"http://{address[0]}:{address[1]}"
        client = stack.enter_context(httpx.Client(base_url=base, timeout=600))
        stream = stack.enter_context(client.stream("GET", "/stream"))
        pieces = stream.iter_text()
        assert next(pieces) == "first"
        silent = [stack.enter_context(socket.create_connection(address, timeout=600)) for _ in range(SILENT)]
        assert client.get("/").status_code == 200
        for connection in silent[: SILENT - MAX_CONNECTIONS]:
            assert connection.recv(1) == b"", "only the newest stay"
        assert httpx.get(base, timeout=600).status_code == 200
        ended.set()
        assert "".join(pieces) == "last", "what is being answered is never closed"
    assert not caplog.records


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_connection_without_a_whole_request_is_closed(begun, monkeypatch):
    monkeypatch.setattr(connections, "SECONDS_SILENT", 0.5)
    with serving() as (address, _), socket.create_connection(address, timeout=600) as silent:
        silent.sendall(begun)
        assert silent.recv(1) == b""
        monkeypatch.undo()  # the request of a slow machine would come too late, too
        assert httpx.get(f"http://{address[0]}:{address[1]}", timeout=600).status_code == 200


def test_a_process_without_free_files_says_so_once(caplog):
    class Loop:
        def time(self):
            return 7.0

        def default_exception_handler(self, context):
            raise context["exception"]

    handler = LoopErrors()
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            handler(Loop(), {"exception": OSError(errno.EMFILE, "Too many open files")})
    assert [record.message for record in caplog.records] == [
        "new connections wait: Too many open files; allow more with ulimit -n"
    ]
    with pytest.raises(OSError, match="another"):
        handler(Loop(), {"exception": OSError(errno.EIO, "another")})
