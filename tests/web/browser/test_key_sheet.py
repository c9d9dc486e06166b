"""The sheet of keys: a command gets another key, which this browser keeps; conflicts are refused."""

import pytest
from conftest import write_tiny_clip
from web.browser.conftest import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    server = Server(write_tiny_clip(folder / "tiny"), out=folder / "work")
    yield server
    server.stop()


def _tool(screen) -> str:
    return screen.page.evaluate("() => document.querySelector('[data-tool][aria-checked=true]').dataset.tool")


def test_a_key_is_changed_kept_and_reset(server, open_screen):
    with open_screen(server.address) as screen:
        screen.press("?")
        screen.test_id("keys-change").click()
        screen.test_id("key-brush").click()
        message = screen.test_id("keys-message")
        for key, sentence in (
            ("e", "“Eraser”"),
            ("Home", "cannot be changed"),
            ("Control+m", "browser"),
            ("Tab", "another key"),
            ("Shift+)", "“Actual size”"),
            ("ContextMenu", "every keyboard"),
        ):
            screen.press(key)
            assert sentence in message.inner_text()
        screen.press("Escape")
        assert screen.test_id("key-brush").inner_text() == "B", "and the sheet is still open"
        screen.test_id("key-brush").click()
        screen.press("Shift+P", "Escape", "b")
        assert _tool(screen) == "click", "B is no key any more"
        screen.press("Shift+P")
        assert _tool(screen) == "brush"
        screen.press("e")
        screen.says("hint", "Shift P paints")
        screen.page.reload()
        screen.settle()
        screen.press("Shift+P")
        assert _tool(screen) == "brush", "this browser keeps it"
        screen.press("?")
        screen.test_id("keys-change").click()
        screen.test_id("keys-reset").click()
        screen.press("Escape", "c", "b")
        assert _tool(screen) == "brush"
        screen.page.evaluate(
            '() => localStorage.setItem(\'dextr-vos.keys\', \'{"brush": "Home", "erase": "j"}\')'
        )
        screen.page.reload()
        screen.settle()
        screen.press("c", "b")
        assert _tool(screen) == "brush", "a fixed key that an older version stored does not count"
