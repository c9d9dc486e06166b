"""One event loop for all test clients, in place of a new one for each request."""

from collections.abc import Iterator

import anyio.from_thread
import pytest
import tiny_page


@pytest.fixture(scope="session", autouse=True)
def event_loop_of_clients() -> Iterator[None]:
    with anyio.from_thread.start_blocking_portal() as portal:
        tiny_page.PORTAL = portal
        yield
        tiny_page.PORTAL = None
        portal.call(portal.stop, True)  # without waiting for what a failed test left running
