"""A real server under attack and in use: hostile requests, silent connections, many clients, a soak."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from conftest import write_tiny_clip
from tiny_page import POINTS

FEWEST_SAMPLES = 20
MOST_GROWTH = {"memory_mb": 10, "handles": 10, "threads": 4}  # in the second half of a soak


@dataclass
class RealServer:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    base: str
    token: str
    work: Path
    log: Path

    def client(self, **headers: str) -> httpx.Client:
        """A client with the token."""
        sent = {"X-Dextr-Vos-Token": self.token, **headers}
        return httpx.Client(base_url=self.base, headers=sent, timeout=600)


@contextmanager
def serving(module: str = "dextr_vos") -> Iterator[RealServer]:
    """The page of the tiny clip, as the command serves it.

    Args:
        module: which is run as the command.
    """
    with tempfile.TemporaryDirectory(prefix="dextr-vos-torture-") as name:
        folder = Path(name)
        clip, work, log = write_tiny_clip(folder / "clip"), folder / "work", folder / "log.txt"
        command = [sys.executable, "-m", module, "annotate", str(clip), "--out", str(work)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                [*command, "--no-open", "--model", "grabcut"], stdout=subprocess.PIPE, stderr=errors,
                text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        assert process.stdout is not None
        line = next((line for line in process.stdout if "token=" in line), "")
        found = re.search(r"(http://\S+)/\?token=(\S+)", line)
        assert found is not None, log.read_text()
        try:
            yield RealServer(process, found[1], found[2], work, log)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(600)
            process.stdout.close()


def _hostile(rng: random.Random, server: RealServer) -> tuple[str, str, dict[str, str], bytes]:
    """A request that must not be answered with anything of the workspace, nor change it."""
    port = server.base.rpartition(":")[2]
    good = {"X-Dextr-Vos-Token": server.token}
    cookie = {"Cookie": f"dextr_vos_token_{port}={server.token}"}
    path = rng.choice(("/api/state", "/api/frames/0", "/api/masks/0", "/static/main.js", "/api/events"))
    change = rng.choice(("/api/objects", "/api/undo", "/api/frames/0/keyframe", "/api/propagate"))
    host = rng.choice(
        ("evil.example", "[::1].evil.example", "127.0.0.1.evil.example", "[::1", "127.0.0.1:1:2", "",
         "localhost.", "0x7f000001", "[::ffff:1.2.3.4]", "127.0.0.1@evil.example",
         "evil.example#127.0.0.1", "2130706433")
    )  # fmt: skip
    origin = rng.choice(
        ("null", "http://evil.example", f"https://127.0.0.1:{port}", "http://127.0.0.1:1",
         f"http://127.0.0.1:{port}.evil", f"http://127.0.0.1:{port}@evil.example", "file://",
         f"HTTP://127.0.0.1:{port}/", "")
    )  # fmt: skip
    token = rng.choice(("", "x", server.token[:-1], server.token + "x", server.token.lower() + "_", "*"))
    outside = rng.choice(
        ("/static/../web/auth.py", "/static/%2e%2e/auth.py", "/static/..%2f..%2fetc/passwd",
         "/static//etc/passwd",
         "/api/exports/..%2fannotations.json", "/api/exports/%2e%2e/workspace.yaml", "/api/exports/.lock",
         "/static/..%5cauth.py", "/static/%00", "/api/frames/..%2f..", "/docs", "/redoc")
    )  # fmt: skip
    kinds = (
        ("GET", path, good | {"Host": host}, b""),
        ("POST", change, good | {"Host": host}, b"{}"),
        ("GET", path, {"X-Dextr-Vos-Token": token}, b""),
        ("GET", path, {"Cookie": f"dextr_vos_token_{port}={token}"}, b""),
        ("GET", path, {"Cookie": f"dextr_vos_token={server.token}; dextr_vos_token_1={server.token}"}, b""),
        ("POST", change, cookie, b"{}"),
        ("POST", change, cookie | {"Origin": origin}, b"{}"),
        ("POST", change, good | {"Origin": origin or "null"}, b"{}"),
        ("GET", outside, good, b""),
        (
            rng.choice(("PUT", "DELETE", "TRACE", "OPTIONS")),
            change,
            cookie | {"Origin": origin},
            b"{}",
        ),
        ("POST", change, good | {"Content-Type": "application/json"}, b"[" * rng.randrange(1, 200_000)),
        ("POST", "/api/frames/0/objects/1/points", good, b'{"points": [' + b" " * 1_100_000 + b"]}"),
        ("GET", f"/?token={token}", {"Sec-Fetch-Site": rng.choice(("cross-site", "none"))}, b""),
    )
    return rng.choice(kinds)


def hostile_requests(count: int, seed: int) -> dict[str, Any]:
    """Send requests that no page of the server sends; how many it accepted, and faults of its log."""
    rng, faults, accepted = random.Random(seed), [], 0
    with serving() as server, httpx.Client(base_url=server.base, timeout=600) as client:
        before = server.client().get("/api/state").json()
        for _ in range(count):
            method, path, headers, body = _hostile(rng, server)
            try:
                status = client.request(method, path, headers=headers, content=body).status_code
            except (httpx.HTTPError, UnicodeError) as error:
                faults += [] if server.process.poll() is None else [f"the server ended: {error}"]
                continue
            if status < 400 or status >= 500:
                accepted += 1
                faults.append(f"{method} {path} {headers} was answered with {status}")
        after = server.client().get("/api/state").json()
        if after != before:
            faults.append("the state has changed")
        faults += _faults_of(server)
    return {"requests": count, "accepted": accepted, "faults": faults}


def silent_connections(count: int) -> dict[str, Any]:
    """Open connections that say nothing; how long the page takes then, and what the log says."""
    with serving() as server, ExitStack() as stack, server.client() as client:
        host, _, port = server.base.removeprefix("http://").rpartition(":")
        for _ in range(count):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=600))
        began = time.monotonic()
        status = client.get("/api/state").status_code
        seconds = time.monotonic() - began
        faults = _faults_of(server) + ([] if status == 200 else [f"the page was answered with {status}"])
        log_bytes = server.log.stat().st_size
        return {"connections": count, "answered_after_s": seconds, "log_bytes": log_bytes, "faults": faults}


def many_clients(count: int, edits: int) -> dict[str, Any]:
    """Clients that edit at once, each an object of its own; every acknowledged edit must be there."""
    faults: list[str] = []
    with serving() as server:
        with server.client() as first:
            for _ in range(count):
                first.post("/api/objects", json={})
        expected: dict[int, int] = {}

        def edit(number: int) -> None:
            try:
                with server.client() as client, client.stream("GET", "/api/events") as events:
                    next(events.iter_lines())
                    for each in range(edits):
                        frame = each % 6
                        points = [[x + number % 8, y] for x, y in POINTS]
                        path = f"/api/frames/{frame}/objects/{number}/points"
                        answer = client.post(path, json={"points": points})
                        assert answer.status_code == 200, answer.text
                        expected[number] = points[0][0]
            except Exception as error:
                faults.append(f"client {number}: {type(error).__name__} {error}")

        threads = [threading.Thread(target=edit, args=(number,)) for number in range(1, count + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with server.client() as last:
            keyframes = last.get("/api/state").json()["keyframes"]
        for number, x in expected.items():
            for frame in range(min(6, edits)):
                points = keyframes[str(frame)]["objects"].get(str(number), {}).get("points")
                if not points or points[0][0] != x:
                    faults.append(f"an edit of client {number} in frame {frame} is lost")
        faults += _faults_of(server)
    return {"clients": count, "edits": count * edits, "faults": faults}


def soak(minutes: float, seed: int) -> dict[str, Any]:
    """Edit, look, come and go for minutes, with small caches: what still grows in the second half is a leak.

    Returns:
        Edits, faults and, for every minute or more often, memory, handles and threads of the server.
    """
    rng, faults, edits = random.Random(seed), [], 0
    samples: list[dict[str, float]] = []
    with serving("torture.small_caches") as server:
        process = psutil.Process(server.process.pid)
        began = time.monotonic()
        with server.client() as client:
            for _ in range(3):
                client.post("/api/objects", json={})
        while (passed := (time.monotonic() - began) / 60) < minutes:
            if passed >= len(samples) * min(1.0, minutes / FEWEST_SAMPLES):
                samples.append({"minute": round(passed, 2), "edits": edits} | _resources(process))
                print(json.dumps(samples[-1]), flush=True)  # a soak of hours need not be waited for
            with server.client() as client, client.stream("GET", "/api/events") as events:
                next(events.iter_lines())
                for _ in range(50):
                    status = _something(client, rng)
                    edits += 1
                    if status >= 500:
                        faults.append(f"an edit was answered with {status}")
        samples.append({"minute": round(minutes, 2), "edits": edits} | _resources(process))
        faults += _faults_of(server)
    faults += growth(samples)
    return {"minutes": minutes, "edits": edits, "samples": samples, "faults": faults}


def growth(samples: Sequence[Mapping[str, float]]) -> list[str]:
    """A sentence for each resource that grew in the second half of a soak by more than `MOST_GROWTH`.

    Args:
        samples: each with all of these resources; the first half of them fills caches and pools.
    """
    middle, last = samples[len(samples) // 2], samples[-1]
    return [
        f"{name} grew from {middle[name]} to {last[name]} in the second half; expected at most {most} more"
        for name, most in MOST_GROWTH.items()
        if last[name] - middle[name] > most
    ]


def _resources(process: psutil.Process) -> dict[str, float]:
    """What a process and those that it started hold."""
    all_of = [process, *process.children(recursive=True)]
    return {
        "memory_mb": round(sum(each.memory_info().rss for each in all_of) / (1 << 20), 1),
        "handles": sum(each.num_fds() for each in all_of),
        "threads": sum(each.num_threads() for each in all_of),
    }


def _something(client: httpx.Client, rng: random.Random) -> int:
    """What a page may do next; the status of the answer."""
    frame, number = rng.randrange(6), rng.randint(1, 3)
    spot = [[rng.randrange(64), rng.randrange(48)]]
    place = f"/api/frames/{frame}/objects/{number}"
    choice = rng.choices(range(7), (4, 4, 2, 2, 3, 3, 1))[0]
    if choice == 0:
        answer = client.post(f"{place}/points", json={"points": POINTS[: rng.randint(1, 4)]})
    elif choice == 1:
        answer = client.post(f"{place}/stroke", json={"path": spot, "radius": rng.randint(1, 9)})
    elif choice == 2:
        answer = client.post("/api/undo", json={})
    elif choice == 3:
        answer = client.post("/api/redo", json={})
    elif choice == 4:
        answer = client.get(f"/api/frames/{frame}")
    elif choice == 5:
        answer = client.get(f"/api/masks/{frame}")
    else:
        answer = client.post(f"/api/frames/{frame}/keyframe", json={"keyframe": rng.random() < 0.5})
    return answer.status_code


def _faults_of(server: RealServer) -> list[str]:
    text = server.log.read_text(errors="replace")
    return [f"traceback in the log: {text[-300:]}"] if "Traceback" in text else []
