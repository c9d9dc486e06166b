"""Closed by default: who has access, and the headers of every response."""

import html
import re

import pytest
from starlette.testclient import TestClient
from tiny_page import BASE, POINTS, TOKEN, Page, make_service

from dextr_vos.clip import open_clip
from dextr_vos.web.app import make_app
from dextr_vos.web.auth import SAFE_HEADERS, host_is_known
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.service import ClipService
from dextr_vos.workspace import Workspace

HEADER = {"X-Dextr-Vos-Token": TOKEN}
COOKIE = "dextr_vos_token_8710"  # of the server on this port


@pytest.fixture
def app(tiny_clip, tmp_path):
    static = tmp_path / "static"
    (static / "more").mkdir(parents=True)
    (static / "index.html").write_text("<p>the page</p>")
    (static / "main.js").write_text("export {}")
    (static / "more" / "a.css").write_text("")
    (tmp_path / "secret.txt").write_text("secret")
    return make_app(make_service(tiny_clip, tmp_path / "w"), TOKEN, static=static)


@pytest.fixture
def client(app):
    return TestClient(app, base_url=BASE, follow_redirects=False)


def test_the_printed_address_opens_the_page(client):
    answer = client.get(f"/?token={TOKEN}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in (COOKIE, "httponly", "samesite=strict", "path=/"))
    assert client.get("/").text == "<p>the page</p>"
    assert client.get("/api/state").status_code == 200
    assert client.post("/api/objects", json={}, headers={"Origin": BASE}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/?token="])
def test_without_the_token_there_is_no_page(client, path):
    answer = client.get(path)
    assert answer.status_code == 403
    assert "open the address that dextr-vos annotate printed" in answer.text


@pytest.mark.parametrize(
    "path", ["/api/state", "/api/events", "/api/frames/0", "/api/masks/0", "/static/main.js", "/nothing"]
)
def test_without_the_token_there_is_nothing_else(client, path):
    for headers in ({}, {"X-Dextr-Vos-Token": "wrong"}, {"Cookie": f"{COOKIE}=wrong"}):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 403
        assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8710", "127.0.0.1.evil.example", "", "[::2]:80"),
        *("[::1].evil.example", "127.0.0.1:80:9", "[::1"),
    ],
)
def test_another_host_is_refused_even_with_the_token(client, host):
    for path in ("/", f"/?token={TOKEN}", "/api/state"):
        answer = client.get(path, headers={**HEADER, "Host": host})
        assert answer.status_code == 400
        assert "does not answer to the host" in answer.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "[::1]:80", "127.0.0.1:1"])
def test_this_machine_is_known_by_any_port(client, host):
    assert client.get("/api/state", headers={**HEADER, "Host": host}).status_code == 200


def test_the_host_that_was_given_is_known():
    assert host_is_known("studio.local:80", "studio.local")
    assert host_is_known("192.168.0.7:80", "0.0.0.0")
    assert not host_is_known("evil.example", "0.0.0.0")
    assert not host_is_known("192.168.0.7", "127.0.0.1")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8710", "http://127.0.0.1:1"]
)
def test_a_change_from_another_origin_is_refused(client, origin):
    client.get(f"/?token={TOKEN}")
    for headers in ({"Origin": origin}, {"Origin": origin, **HEADER}):
        answer = client.post("/api/objects", json={}, headers=headers)
        assert answer.status_code == 403
        assert "must come from the page itself" in answer.json()["error"]
    assert client.get("/api/state").json()["objects"] == []


def test_a_change_without_origin_needs_the_token_in_a_header(client):
    client.get(f"/?token={TOKEN}")
    assert client.post("/api/objects", json={}).status_code == 403
    assert client.post("/api/objects", json={}, headers=HEADER).status_code == 200


def test_every_answer_has_the_safe_headers(client):
    answers = [client.get(path, headers=HEADER) for path in ("/api/state", "/", "/api/frames/99", "/nothing")]
    answers += [client.get("/api/state"), client.get("/", headers={"Host": "evil.example"})]
    for answer in answers:
        for name, value in SAFE_HEADERS.items():
            assert answer.headers[name] == value
    policy = SAFE_HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_bodies_are_limited_with_or_without_their_length(client):
    big = b'{"points": [' + b" " * 1_000_001 + b"]}"
    path = "/api/frames/0/objects/1/points"
    headers = {**HEADER, "Content-Type": "application/json"}
    answers = [client.post(path, content=big, headers=headers)]
    answers.append(client.post(path, content=iter([big[:600_000], big[600_000:]]), headers=headers))
    for answer in answers:
        assert answer.status_code == 413
        assert "too large" in answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static//etc/passwd",
        "/static/more",
        "/static/",
        "/api/exports/%2e%2e%2fannotations.json",
        "/api/frames/%2e%2e",
        "/api/frames/-1",
        "/api/frames/1e3",
        "/api/masks/99999999999999999999",
    ],
)
def test_no_path_is_taken_from_the_client(client, path):
    answer = client.get(path, headers=HEADER)
    assert answer.status_code in (400, 404)
    assert set(answer.json()) == {"error"}
    assert "secret" not in answer.text.replace("secret.txt", "")


def test_static_files_are_those_there_were_at_the_start(client, tmp_path):
    assert client.get("/static/main.js", headers=HEADER).headers["content-type"].startswith("text/javascript")
    assert client.get("/static/more/a.css", headers=HEADER).status_code == 200
    kept = client.get("/static/main.js", headers=HEADER).headers["etag"]
    assert client.get("/static/main.js", headers={**HEADER, "If-None-Match": kept}).status_code == 304
    (tmp_path / "static" / "late.js").write_text("")
    assert client.get("/static/late.js", headers=HEADER).status_code == 404


def test_each_server_has_a_cookie_of_its_own_and_takes_no_other(client, app):
    client.get(f"/?token={TOKEN}")
    other = TestClient(app, base_url="http://127.0.0.1:8711", follow_redirects=False)
    other.cookies = client.cookies  # as a browser, which sends them to every port of a host
    assert COOKIE in other.get("/").request.headers["cookie"]
    assert other.get("/api/state").status_code == 403
    assert other.get(f"/?token={TOKEN}").status_code == 303
    assert other.get("/api/state").status_code == client.get("/api/state").status_code == 200


def test_two_machines_forwarded_to_two_ports_here_do_not_share_a_cookie(client):
    """Both servers listen on port 8710, and the browser asks for ports 9000 and 9001 of this machine."""
    for port in (9000, 9001):
        answer = client.get(f"/?token={TOKEN}", headers={"Host": f"127.0.0.1:{port}"})
        assert f"dextr_vos_token_{port}=" in answer.headers["set-cookie"]
    cookie = {"Cookie": f"dextr_vos_token_9000={TOKEN}"}
    client.cookies.clear()
    assert client.get("/api/state", headers={"Host": "127.0.0.1:9000", **cookie}).status_code == 200
    assert client.get("/api/state", headers={"Host": "127.0.0.1:9001", **cookie}).status_code == 403


@pytest.mark.parametrize(
    "others", ['prefs={"theme":"dark"}', "city=Zürich", "a=b; c d=e", 'x="never closed', "=", "a,b=[c]", ";;"]
)
def test_cookies_of_other_programs_do_not_matter(client, others):
    for header in (
        f"{others}; {COOKIE}={TOKEN}",
        f"{COOKIE}={TOKEN}; {others}",
        f'{others};{COOKIE}="{TOKEN}"',
    ):
        assert client.get("/api/state", headers={"Cookie": header.encode("latin-1")}).status_code == 200
    refused = {"Cookie": f"{others}; {COOKIE}x={TOKEN}".encode("latin-1")}
    assert client.get("/api/state", headers=refused).status_code == 403


def test_a_bug_is_reported_without_its_details(tiny_clip, tmp_path, caplog):
    def broken():
        raise RuntimeError("/secret/path")

    service = ClipService(open_clip(tiny_clip), Workspace(tmp_path / "w"), SegmenterLoader("broken", broken))
    page = Page(service)
    page.do("/api/objects")
    response = page.post("/api/frames/0/objects/1/points", points=POINTS)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "/secret/path" in caplog.text
    assert page.get("/api/state").status_code == 200


def test_opened_from_a_file_the_page_is_sent_on_once(client):
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    answer = client.get(f"/?token={TOKEN}", headers=elsewhere)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers, "those of other servers are not known here"
    address = html.unescape(re.search(r"url=([^\"]+)", answer.text)[1])
    assert address.startswith(f"/?token={TOKEN}")
    for headers in (elsewhere, {"Sec-Fetch-Site": "same-origin"}):
        assert client.get(address, headers=headers).status_code == 303
    client.cookies.clear()
    answer = client.get("/?token=wrong", headers=elsewhere)
    assert answer.status_code == 403
    assert TOKEN not in answer.text
