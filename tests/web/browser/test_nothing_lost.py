"""A server that is killed or away, a second one on the same workspace, an address without its token."""

import numpy as np
from web.browser.conftest import Server

SHOWS_OFFLINE = "() => !document.querySelector('[data-test=banner-offline]').hidden"
ENDS = [(64, 62), (146, 66), (105, 34), (84, 105)]


def test_after_kill_9_all_is_there_and_what_was_done_meanwhile_is_sent(small_clip, open_screen, tmp_path):
    out = tmp_path / "work"
    server = Server(small_clip, out=out)
    with open_screen(server.address) as screen:
        try:
            screen.click(*ENDS)
            made, points = screen.labels(), screen.points(0)
            undo = screen.state()["history"]["undo"]
        finally:
            server.kill()
        screen.until(SHOWS_OFFLINE, 20)
        screen.press("b", settle=False)
        screen.drag((20, 20), (40, 20), settle=False)
        assert "One change waits" in screen.test_id("banner-offline").inner_text()
        assert "not saved" in screen.test_id("saved").inner_text()

        port = server.address.split(":")[2].split("/")[0]
        server = Server(small_clip, "--port", port, out=out)
        try:
            with open_screen(server.address) as other:
                assert np.array_equal(other.labels(), made)
                assert other.points(0) == points
                assert other.state()["history"]["undo"] == undo
            screen.page.context.new_page().goto(server.address)
            screen.until("() => document.querySelector('[data-test=banner-offline]').hidden", 20)
            painted = screen.labels()
            assert (painted[20, 20:41] == 1).all()
            assert np.array_equal(screen.server_mask(0), painted)
            screen.press("Control+z", "Control+z")
            assert len(screen.points(0)) == 3, "undo goes back to before the server was killed"
        finally:
            server.stop()


def test_the_page_comes_back_by_itself(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.go(10)
        screen.page.context.set_offline(True)
        screen.press("b", settle=False)
        screen.drag((200, 50), (260, 50), settle=False)
        screen.until(SHOWS_OFFLINE, 20)
        screen.page.context.set_offline(False)
        screen.until("() => document.querySelector('[data-test=banner-offline]').hidden", 20)
        screen.settle()
        assert (screen.server_mask(10)[50, 200:261] == 1).all()


def test_a_second_server_shows_everything_and_changes_nothing(annotating, real_clip, open_screen):
    second = Server(real_clip, out=annotating.out)
    try:
        with open_screen(second.address) as screen:
            banner = screen.test_id("banner-readonly")
            assert banner.is_visible()
            assert str(annotating.process.pid) in banner.inner_text()
            before = screen.state()
            screen.click((100, 100))
            screen.press("b")
            screen.drag((100, 100), (150, 100))
            screen.press("n", "Control+z")
            assert screen.state()["version"] == before["version"]
            assert screen.state()["keyframes"] == before["keyframes"]
            refused = screen.page.evaluate(
                "() => fetch('/api/undo', {method: 'POST'})"
                ".then(async (answer) => [answer.status, (await answer.json()).error])"
            )
            assert refused[0] == 409
            assert refused[1]
    finally:
        second.stop()


def test_without_the_token_there_is_no_page(annotating, browser):
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(annotating.address.replace("token=", "token=x"))
    assert answer.status == 403
    assert "dextr-vos annotate printed" in page.inner_text("body")
    context.close()
