"""The server as a process: a port, an address to open, an end without loss."""

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

import uvicorn

from dextr_vos.errors import InputError
from dextr_vos.web.app import make_app
from dextr_vos.web.auth import leading_to
from dextr_vos.web.service import Service

log = logging.getLogger(__name__)

FIRST_PORT = 8710
_PORTS_TRIED = 30
_SECONDS_TO_END = 3
SECONDS_BETWEEN_LOOKS = 2.0


class _Server(uvicorn.Server):
    """Ends open streams when it is asked to end, for it would wait for them."""

    def __init__(
        self, config: uvicorn.Config, on_end: Callable[[], None], on_start: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_end, self._on_start = on_end, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn."""
        self._on_end()
        super().handle_exit(sig, frame)


def serve(
    service: Service,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    tell: Callable[[str], None],
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        service: what is worked on.
        host: address to listen on.
        port: None takes one that is free.
        open_browser: shows the page at once.
        tell: is given the address.

    Raises:
        InputError: the port is taken, or there is no such address here.
    """
    token = secrets.token_urlsafe(24)
    listening = listen(host, port)
    shown = host if host not in ("0.0.0.0", "::", "") else "127.0.0.1"
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"http://{shown}:{listening.getsockname()[1]}/?token={token}"
    private = tempfile.TemporaryDirectory(prefix="dextr-vos-", ignore_cleanup_errors=True)

    def started() -> None:
        tell(address)
        service.session.engine.start()
        if open_browser:
            try:
                way = _way_to(address, Path(private.name)).as_uri()
            except OSError as fault:
                log.warning("cannot open a browser: %s; open the address yourself", fault)
                return
            threading.Thread(target=webbrowser.open, args=(way,), daemon=True).start()

    config = uvicorn.Config(
        make_app(service, token, host),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_END,
        lifespan="off",
        ws="none",
    )
    server = _Server(config, service.session.events.close, started)
    ended = threading.Event()
    threading.Thread(target=_look_around, args=(service, ended), daemon=True).start()
    before = signal.signal(signal.SIGTERM, _as_ctrl_c)  # uvicorn raises it again once it has ended
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        log.debug("ended by Ctrl-C")
    finally:
        ended.set()
        signal.signal(signal.SIGTERM, before)
        service.close()
        listening.close()
        private.cleanup()


def _way_to(address: str, folder: Path) -> Path:
    """A file that only this user can read and that leads to the page.

    Everybody on the machine can read a browser's command line, so the token must not be on it.
    """
    path = folder / "dextr-vos.html"
    path.touch(0o600)
    path.write_text(leading_to(address), encoding="utf-8")
    return path


def _look_around(service: Service, ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_LOOKS):
        try:
            service.poll()
        except (InputError, OSError) as fault:
            log.warning("%s", fault)


def _as_ctrl_c(kind: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def listen(host: str, port: int | None) -> socket.socket:
    """A socket on a port, or on the first free one from FIRST_PORT on.

    Raises:
        InputError: the port is taken, or there is no such address here.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + _PORTS_TRIED), 0]
    fault: OSError | None = None
    for number in tried:
        # with the protocol named, asyncio sends at once; else answers wait 40 ms for an acknowledgement
        each = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            each.bind((host, number))
            each.listen(128)
        except OSError as told:
            each.close()
            fault = told
            continue
        each.set_inheritable(False)
        return each
    assert fault is not None
    raise InputError(
        f"cannot listen on {host} port {tried[-1]}: {fault.strerror or fault}; give another --port or --host"
    )
