import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on this machine, whatever proxy the environment names."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
