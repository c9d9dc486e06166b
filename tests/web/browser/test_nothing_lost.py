"""A server that is killed or away, a second one on the same workspace, an address without its token."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from web.browser.conftest import Server
from web.browser.screen import Screen, open_context

from dextr_vos.web.auth import redirect_page

SHOWS_OFFLINE = "() => !document.querySelector('[data-test=banner-offline]').hidden"
ENDS = [(64, 62), (146, 66), (105, 34), (84, 105)]


def test_after_kill_9_nothing_is_lost_and_later_edits_are_sent(small_clip, open_screen, tmp_path):
    out = tmp_path / "work"
    # a port that no server of another test takes in the meantime
    server = Server(small_clip, "--model", "grabcut", "--port", "0", out=out)
    with open_screen(server.address) as screen:
        try:
            screen.click(*ENDS)
            made, points = screen.labels(), screen.points(0)
            undo = screen.state()["history"]["undo"]
        finally:
            server.kill()
        screen.until(SHOWS_OFFLINE)
        screen.press("b", settle=False)
        screen.drag((20, 20), (40, 20), settle=False)
        screen.says("banner-offline", "One change is waiting")
        screen.says("saved", "not saved")

        port = server.address.split(":")[2].split("/")[0]
        server = Server(small_clip, "--model", "grabcut", "--port", port, out=out)
        try:
            with open_screen(server.address) as other:
                assert np.array_equal(other.labels(), made)
                assert other.points(0) == points
                assert other.state()["history"]["undo"] == undo
            screen.page.context.new_page().goto(server.address)
            screen.until("() => document.querySelector('[data-test=banner-offline]').hidden")
            painted = screen.labels()
            assert (painted[20, 20:41] == 1).all()
            assert np.array_equal(screen.server_mask(0), painted)
            screen.press("Control+z", "Control+z")
            assert len(screen.points(0)) == 3, "undo goes back to before the server was killed"
        finally:
            server.stop()


def test_the_page_reconnects_by_itself(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.go_empty(10)
        screen.page.context.set_offline(True)
        screen.press("b", settle=False)
        screen.drag((200, 50), (260, 50), settle=False)
        screen.until(SHOWS_OFFLINE)
        screen.page.context.set_offline(False)
        screen.until("() => document.querySelector('[data-test=banner-offline]').hidden")
        screen.settle()
        assert (screen.server_mask(10)[50, 200:261] == 1).all()


def test_an_error_of_the_server_while_the_page_reconnects_is_not_the_end(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        failures = []

        def fail_once(route):
            if failures:
                return route.continue_()
            failures.append(route.request.url)
            return route.fulfill(status=500, json={"error": "something went wrong"})

        screen.page.context.set_offline(True)
        screen.press("b", settle=False)
        screen.drag((200, 80), (260, 80), settle=False)
        screen.until(SHOWS_OFFLINE)
        screen.route("**/api/state", fail_once)
        screen.page.context.set_offline(False)
        screen.until("() => document.querySelector('[data-test=banner-offline]').hidden")
        assert failures
        screen.settle()


def test_an_older_state_that_comes_late_is_not_taken(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        old = screen.page.context.request.get(f"{annotating.address.split('/?')[0]}/api/state").json()
        screen.press("n")
        newer = screen.shown()["version"]
        assert newer > old["version"]
        asked = []

        def answer_late(route):
            asked.append(route.request.url)
            return route.fulfill(json=old)

        screen.route("**/api/state", answer_late)
        screen.route("**/api/objects", lambda route: route.fulfill(status=400, json={"error": "no"}))
        screen.press("n")  # refused, upon which the page fetches the state
        screen.wait_for(lambda: asked)
        screen.settle()
        assert screen.shown()["version"] == newer
        screen.page.unroute_all()
        screen.press("Control+z")


def test_the_file_that_opens_the_browser_leads_to_the_page(annotating, browser, tmp_path):
    way = tmp_path / "way.html"
    way.write_text(redirect_page(annotating.address), encoding="utf-8")
    with open_context(browser) as context:
        page = context.new_page()
        page.goto(way.as_uri(), wait_until="commit")
        page.wait_for_selector("#app[data-ready]")
        assert "token" not in page.url


def test_closing_the_page_asks_while_a_change_is_being_sent(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        held, asked = [], []
        screen.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
        screen.route("**/stroke", lambda route: held.append(route))
        screen.press("b", settle=False)
        screen.drag((200, 80), (260, 80), settle=False)
        screen.wait_for(lambda: held)
        screen.page.close(run_before_unload=True)
        screen.wait_for(lambda: asked)
        assert asked == ["beforeunload"]
        held[0].continue_()
        screen.settle()


def test_a_second_server_shows_everything_and_changes_nothing(annotating, real_clip, open_screen):
    second = Server(real_clip, "--model", "grabcut", out=annotating.out)
    try:
        with open_screen(second.address) as screen:
            banner = screen.test_id("banner-readonly")
            banner.wait_for()
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


@pytest.mark.parametrize(
    ("right", "wrong", "status", "sentence"),
    [
        pytest.param("token=", "token=x", 403, "dextr-vos annotate printed", id="another token"),
        # as after DNS rebinding: the name is another, the address this machine's, the token right
        pytest.param("127.0.0.1", "evil.example", 400, "does not answer to the host", id="another host"),
    ],
)
def test_under_another_address_there_is_no_page(annotating, browser, right, wrong, status, sentence):
    with open_context(browser) as context:
        page = context.new_page()
        answer = page.goto(annotating.address.replace(right, wrong))
        assert answer.status == status
        assert sentence in page.inner_text("body")


class _Elsewhere(BaseHTTPRequestHandler):
    """An empty page of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_) -> None:
        """Say nothing."""


_HIDE = """(hidden) => { Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event('visibilitychange')); }"""
_STREAMS = """const Source = EventSource; window.streams = [];
  window.EventSource = function (address) {
    const made = new Source(address); window.streams.push(made); return made; };"""
_OPEN_STREAMS = "() => window.streams.filter((one) => one.readyState !== 2).length"


def test_a_tab_that_nobody_sees_holds_no_connection_and_catches_up(annotating, open_screen):
    """A browser has six connections to a host, for all tabs; each stream of events takes one of them."""
    with open_screen(annotating.address) as screen:
        screen.page.add_init_script(_STREAMS)
        screen.page.reload()
        screen.settle()
        screen.until(f"() => ({_OPEN_STREAMS})() === 1")
        screen.page.evaluate(_HIDE, True)
        assert screen.page.evaluate(_OPEN_STREAMS) == 0
        before = screen.shown()["version"]
        screen.page.evaluate(
            "() => fetch('/api/objects', {method: 'POST', body: '{}',"
            " headers: {'content-type': 'application/json'}})"
        )
        screen.page.evaluate(_HIDE, False)
        screen.until(f"() => dextrVos.shown().version > {before}")
        screen.until(f"() => ({_OPEN_STREAMS})() === 1")


def test_tabs_side_by_side_share_a_stream_and_another_takes_it_over(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.page.context.add_init_script(_STREAMS)
        screen.page.reload()
        screen.settle()
        screen.until(f"() => ({_OPEN_STREAMS})() === 1")
        other = Screen(screen.page.context.new_page())
        other.page.goto(screen.page.url)
        other.settle()
        screen.press("n")
        wanted = screen.shown()["version"]
        other.until(f"() => dextrVos.shown().version >= {wanted}")
        assert other.page.evaluate(_OPEN_STREAMS) == 0
        screen.page.close()
        other.until(f"() => ({_OPEN_STREAMS})() === 1")
        other.press("Control+z")


_ASK = """([address, mode]) => fetch(address, {method: 'POST', mode, credentials: 'include'})
  .then((answer) => answer.type, () => 'refused')"""


def test_a_page_of_another_origin_changes_nothing_and_reads_nothing(annotating, open_screen):
    """It runs on another port, to which the browser sends the same cookies."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as elsewhere:
        Thread(target=elsewhere.serve_forever, daemon=True).start()
        with open_screen(annotating.address) as screen:
            screen.press("n")
            before = screen.state()
            undo = screen.page.evaluate("() => location.origin + '/api/undo'")
            other = screen.page.context.new_page()
            other.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
            other.evaluate(_ASK, [undo, "no-cors"])
            assert other.evaluate(_ASK, [undo, "cors"]) == "refused"
            assert screen.state()["version"] == before["version"]
            read = "(url) => fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused')"
            assert other.evaluate(read, undo.replace("undo", "state")) == "refused"
            assert screen.page.evaluate(_ASK, [undo, "cors"]) == "basic"
            assert screen.state()["version"] != before["version"], "its own page may do it"
        elsewhere.shutdown()
