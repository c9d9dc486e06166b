"""The server as a process: killed at any moment, asked to end, started twice."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from tiny_page import OTHER, POINTS

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.cli.main import main
from dextr_vos.errors import InputError
from dextr_vos.web.serve import is_loopback, listen

pytestmark = pytest.mark.slow


class Server:
    """A server in a process of its own, and a client with its token."""

    def __init__(self, clip, work, *options):
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "dextr_vos", "annotate", str(clip), "--out", str(work),
                "--no-open", "--model", "grabcut", *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # a group of its own, as a terminal makes it
        )  # fmt: skip
        self.printed = lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "token=" in line:
                break
        else:
            raise AssertionError(self.process.stderr.read())
        self.address = re.search(r"http://\S+", lines[-1])[0]
        base, token = self.address.split("/?token=")
        self.base = base
        self.client = httpx.Client(base_url=base, headers={"X-Dextr-Vos-Token": token}, timeout=600)

    def post(self, path, /, **body):
        return self.client.post(path, json=body)

    def state(self):
        return self.client.get("/api/state").json()

    def close(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(600)
        self.process.stdout.close()
        self.process.stderr.close()


@contextmanager
def serving(clip, work, *options):
    server = Server(clip, work, *options)
    try:
        yield server
    finally:
        server.close()


def test_killed_and_opened_again_everything_is_there(tiny_clip, tmp_path):
    work = tmp_path / "w"
    with serving(tiny_clip, work) as server:
        server.post("/api/objects")
        server.post("/api/frames/0/objects/1/points", points=POINTS)
        server.post("/api/frames/2/objects/1/points", points=POINTS[:3])
        server.post("/api/frames/0/objects/1/stroke", path=[[50, 40]], radius=3)
        before = server.state()
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(600)
    with serving(tiny_clip, work) as server:
        state = server.state()
        for key in ("objects", "keyframes", "history", "saved"):
            assert state[key] == before[key]
        server.post("/api/undo")
        assert not server.state()["keyframes"]["0"]["objects"]["1"]["painted"]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_asked_to_even_with_pages_open(tiny_clip, tmp_path, kind):
    with serving(tiny_clip, tmp_path / "w") as server:
        with server.client.stream("GET", "/api/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: state"
            # the segmenter's process, too, which may still be loading it, gets what a terminal sends
            os.killpg(server.process.pid, kind)
            assert server.process.wait(600) == 0
            list(lines)
        assert "Traceback" not in server.process.stderr.read()
    assert not (tmp_path / "w" / ".lock.json").exists()


def test_an_error_in_the_label_set_does_not_end_the_watch_for_changes(tiny_clip, tmp_path):
    labels = tmp_path / "w" / "labels.yaml"
    with serving(tiny_clip, tmp_path / "w") as server, server.client.stream("GET", "/api/events") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data"))
        next(lines)
        labels.write_text("labels: [")
        for line in server.process.stderr:
            if "labels.yaml" in line:
                break
        labels.write_text("labels: [{name: tail}]")
        next(lines)
        assert [label["name"] for label in server.state()["labels"]] == ["tail"]


def test_a_second_server_reads_only_and_says_who_holds_the_workspace(tiny_clip, tmp_path):
    work = tmp_path / "w"
    with serving(tiny_clip, work) as first, serving(tiny_clip, work) as second:
        assert first.base != second.base
        first.post("/api/objects")
        reason = second.state()["readonly"]
        assert f"process {first.process.pid} on {socket.gethostname()} since 20" in reason
        refused = second.post("/api/objects")
        assert refused.status_code == 409
        assert refused.json()["error"] == reason
        with second.client.stream("GET", "/api/events") as stream:
            lines = (line for line in stream.iter_lines() if line.startswith("data"))
            version = json.loads(next(lines)[6:])["version"]
            first.post("/api/frames/0/objects/1/points", points=OTHER)
            assert json.loads(next(lines)[6:])["version"] > version
        assert second.state()["keyframes"]["0"]["objects"]["1"]["points"] == OTHER
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(600)
        with serving(tiny_clip, work) as third:
            assert third.state()["readonly"] is None


def test_a_workspace_that_was_replaced_belongs_to_the_server_that_opened_it_then(tiny_clip, tmp_path):
    work = tmp_path / "w"
    with serving(tiny_clip, work) as first:
        first.post("/api/objects")
        shutil.rmtree(work)
        refused = first.post("/api/objects")
        assert refused.status_code == 409
        assert f"{work} was removed or replaced" in refused.json()["error"]
        assert not work.exists()
        with serving(tiny_clip, work) as second:
            assert second.post("/api/objects").status_code == 200
            assert first.post("/api/frames/0/objects/1/points", points=POINTS).status_code == 409
            assert first.state()["readonly"] == refused.json()["error"]
            assert second.state()["objects"] == first.state()["objects"]
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(600) == 0


def test_the_command_line_keeps_off_a_workspace_that_is_open(tiny_clip, tmp_path):
    clicks = tmp_path / "c.json"
    clicks.write_text(json.dumps({"00000": [POINTS]}))
    arguments = ["annotate", tiny_clip, "--clicks", clicks, "--out", tmp_path / "w", "--model", "grabcut"]
    arguments = [str(each) for each in arguments]
    with serving(tiny_clip, tmp_path / "w"):
        refused = CliRunner().invoke(main, arguments)
        assert refused.exit_code == 2
        assert "is in use by process" in refused.stderr
    assert CliRunner().invoke(main, arguments).exit_code == 0


def test_a_job_outlives_no_killed_server_and_loses_nothing(tiny_clip, tmp_path):
    work = tmp_path / "w"
    with serving(tiny_clip, work) as server:
        server.post("/api/objects")
        server.post("/api/frames/0/objects/1/points", points=POINTS)
        assert server.post("/api/propagate").status_code == 200
        while (server.state()["job"] or {}).get("phase") == "starting":
            time.sleep(0.1)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(600)
        server.process.stderr.read()  # to its end: the child has it, too, so it has ended
    assert load_annotations(work / "annotations.json").keyframes["00000"].objects[1].made_by == "grabcut"
    with serving(tiny_clip, work) as server:
        assert server.state()["job"] is None
        assert server.post("/api/propagate").status_code == 200


def test_who_can_reach_the_page_is_known_by_its_host():
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "", "studio", "192.168.1.7")))


def test_who_listens_to_everybody_is_told_what_that_means(tiny_clip, tmp_path):
    with serving(tiny_clip, tmp_path / "w", "--host", "") as server:
        text = "".join(server.printed)
    assert "open to everybody who learns this address; what is sent is not encrypted" in text
    assert "127.0.0.1" not in text
    assert "password" not in text


def test_who_opens_the_address_is_told_that_it_holds_a_password(tiny_clip, tmp_path):
    with serving(tiny_clip, tmp_path / "w") as server:
        text = "".join(server.printed)
    assert "Open this address (it contains a password for this session). Ctrl-C ends the page" in text


def test_ports(tiny_clip, tmp_path):
    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(InputError, match=f"cannot listen on 127\\.0\\.0\\.1 port {port}"):
        listen("127.0.0.1", port)
    with pytest.raises(InputError, match="give another --port or --host"):
        listen("203.0.113.9", None)
    taken.close()
    with serving(tiny_clip, tmp_path / "w", "--port", str(port)) as server:
        assert server.base == f"http://127.0.0.1:{port}"


SERVE_AND_BROWSE = """
import json, os, signal, sys, webbrowser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from dextr_vos.clip import open_clip
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.app import ServiceSite
from dextr_vos.web.serve import serve
from dextr_vos.web.service import ClipService, Propagation
from dextr_vos.workspace import Workspace

def browse(url):
    path = Path(unquote(urlsplit(url).path))
    modes = [each.stat().st_mode & 0o777 for each in (path, path.parent)]
    print(json.dumps([url, str(path), modes, path.read_text(encoding="utf-8")]), flush=True)
    os.kill(os.getpid(), signal.SIGINT)

webbrowser.open = browse
segmenter = SegmenterLoader("none", lambda: sys.exit("not asked for"))
service = ClipService(open_clip(sys.argv[1]), Workspace(Path(sys.argv[2])), segmenter, Propagation(), None)
serve(ServiceSite(service), port=0, on_address=lambda address: print(address, flush=True))
"""


def test_the_browser_is_told_of_the_token_by_a_private_file_that_goes_away(tiny_clip, tmp_path):
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", SERVE_AND_BROWSE, str(tiny_clip), str(tmp_path / "w")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    address, opened = ended.stdout.splitlines()
    url, path, modes, text = json.loads(opened)
    assert url.startswith("file://")
    assert address.split("token=")[1] not in url
    assert modes == [0o600, 0o700]
    assert f"url={address}" in text
    assert not Path(path).parent.exists()
