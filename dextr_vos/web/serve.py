"""The server as a process: a port, an address to open, and an end without loss."""

import asyncio
import ipaddress
import logging
import secrets
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.web.auth import check_token, redirect_page
from dextr_vos.web.connections import BACKLOG, Connection, LoopErrors, close_silent

log = logging.getLogger(__name__)

FIRST_PORT = 8710
SECONDS_BETWEEN_POLLS = 2.0
_PORTS_TRIED = 30
_SECONDS_TO_SHUT_DOWN = 3


class _Server(uvicorn.Server):
    """Ends open streams when it is asked to shut down, since it would wait for them."""

    def __init__(
        self, config: uvicorn.Config, on_exit: Callable[[], None], on_start: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_exit, self._on_start = on_exit, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        await super().startup(sockets)
        self._on_start()

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn; it is called ten times a second."""
        if counter % 10 == 0:
            close_silent(self.server_state.connections)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn."""
        self._on_exit()
        super().handle_exit(sig, frame)


class Site(Protocol):
    """What is served: the page of one thing, or a project."""

    def app(self, token: str, host: str) -> FastAPI:
        """The application that answers requests."""
        ...

    def start(self) -> None:
        """Begin to load what takes time; called once the address can be opened."""
        ...

    def end_streams(self) -> None:
        """End open streams of events, since the server would wait for them."""
        ...

    def poll(self) -> None:
        """See `Service.poll`."""
        ...

    def close(self) -> None:
        """End all work; nothing is lost."""
        ...


def serve(
    site: Site,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    on_address: Callable[[str], None],
    token: str | None = None,
    listening: socket.socket | None = None,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        site: what is worked on.
        host: address to listen on.
        port: None takes a free one.
        open_browser: open the page in a browser.
        on_address: called with the address of the page once it can be opened.
        token: gives access; None makes a new one.
        listening: what `listen` gave for the host, by who must not write anything where the port is taken;
            it is closed. None listens on `host` and `port`.

    Raises:
        InputError: the port is taken, this machine does not have the address, or the token is too weak.
    """
    if token is None:
        token = secrets.token_urlsafe(24)
    check_token(token)
    listening = listen(host, port) if listening is None else listening
    address = f"http://{_shown_host(host)}:{listening.getsockname()[1]}/?token={token}"
    private = tempfile.TemporaryDirectory(prefix="dextr-vos-", ignore_cleanup_errors=True)

    def started() -> None:
        on_address(address)
        site.start()
        if open_browser:
            _open_browser(address, Path(private.name))

    try:
        server = _Server(_config(site.app(token, host)), site.end_streams, started)
        _run(server, site, listening)
    finally:
        site.close()
        listening.close()
        private.cleanup()


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_SHUT_DOWN,
        http=Connection,
        backlog=BACKLOG,
        lifespan="off",
        ws="none",
    )


def _run(server: _Server, site: Site, listening: socket.socket) -> None:
    """Run the server until it is asked to end, and poll the site meanwhile."""
    ended = threading.Event()
    threading.Thread(target=_poll, args=(site, ended), daemon=True).start()
    before = signal.signal(signal.SIGTERM, _as_ctrl_c)  # uvicorn raises the signal again once it has ended
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        log.debug("ended by Ctrl-C")
    finally:
        ended.set()
        signal.signal(signal.SIGTERM, before)


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens on a port, or on the first free one from FIRST_PORT on.

    Raises:
        InputError: the port is taken, or this machine does not have the address.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + _PORTS_TRIED), 0]
    failure: OSError | None = None
    for each in tried:
        # only where the protocol is named does asyncio set TCP_NODELAY; answers would be 40 ms late otherwise
        listening = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, each))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            failure = error
            continue
        listening.set_inheritable(False)
        return listening
    assert failure is not None
    reason = failure.strerror or failure
    raise InputError(f"cannot listen on {host} port {tried[-1]}: {reason}; give another --port or --host")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _shown_host(host: str) -> str:
    """The host for the address of the page: one that a browser can open, on other machines, too."""
    shown = host if host not in ("0.0.0.0", "::", "") else socket.gethostname()
    return f"[{shown}]" if ":" in shown else shown


def _open_browser(address: str, folder: Path) -> None:
    """Open the page by a file that only this user can read.

    Everybody on the machine can read a browser's command line, so the token must not be on it.
    """
    path = folder / "dextr-vos.html"
    try:
        path.touch(0o600)
        path.write_text(redirect_page(address), encoding="utf-8")
    except OSError as error:
        log.warning("cannot open a browser: %s; open the address yourself", error)
        return
    threading.Thread(target=webbrowser.open, args=(path.as_uri(),), daemon=True).start()


def _poll(site: Site, ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_POLLS):
        try:
            site.poll()
        except (DextrVosError, OSError) as error:
            log.warning("%s", error)
        except Exception:  # the next poll may find all well
            log.exception("cannot look for changes on disk")


def _as_ctrl_c(sig: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
