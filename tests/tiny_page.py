"""The annotation page's server on the tiny clip, with an engine that fills boxes."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.testclient import TestClient
from tiny_run import Squares

from dextr_vos.clip import open_clip
from dextr_vos.web.app import make_app
from dextr_vos.web.clip_service import ClipService, Propagation
from dextr_vos.web.segmenter_process import Engine
from dextr_vos.workspace import Workspace

TOKEN = "the-token"
BASE = "http://127.0.0.1:8710"
POINTS = [[8, 20], [25, 22], [16, 14], [17, 33]]
OTHER = [[40, 6], [52, 6], [46, 2], [46, 11]]
TINY = Propagation(
    settings=(
        "batch=1",
        "scene.size_hw=[48, 64]",
        "window=3",
        "correction_steps=2",
        "pool=2",
        "correction_pool=2",
    ),
    max_steps=2,
    device="cpu",
)


def squares() -> Engine:
    return Engine("squares", Squares)


def make_desk(clip: Path, work: Path, readonly: str | None = None) -> ClipService:
    return ClipService(open_clip(clip), Workspace(work), squares(), TINY, readonly)


class KilledError(BaseException):
    """In the place of kill -9: nothing of the server's own code catches it."""


class ServerDiedError(Exception):
    """What the client sees of `KilledError`."""


def outlived(app):
    """The app in a test client whose event loop outlives the app's death."""

    async def outermost(scope, receive, send):
        try:
            await app(scope, receive, send)
        except (
            KilledError
        ) as killed:  # past this point a BaseException ends the loop that the client waits on
            raise ServerDiedError from killed

    return outermost


class Page:
    """A client that does what the page does."""

    def __init__(self, service) -> None:
        self.service = service
        self.client = TestClient(
            outlived(make_app(service, TOKEN)),
            base_url=BASE,
            headers={"X-Dextr-Vos-Token": TOKEN},
            follow_redirects=False,
        )

    def get(self, path: str):
        return self.client.get(path)

    def post(self, path: str, /, **body):
        return self.client.post(path, json=body)

    def do(self, path: str, /, **body) -> dict:
        answer = self.post(path, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str, /, expected: int = 400, **body) -> str:
        answer = self.post(path, **body)
        assert answer.status_code == expected, answer.text
        return answer.json()["error"]

    def state(self) -> dict:
        return self.get("/api/state").json()

    def points(self, index: int, number: int, points, **more) -> dict:
        return self.do(f"/api/frames/{index}/objects/{number}/points", points=points, **more)

    def mask(self, index: int) -> np.ndarray | None:
        answer = self.get(f"/api/masks/{index}")
        return None if answer.status_code == 204 else decoded(answer.content)


def decoded(content: bytes | str) -> np.ndarray:
    """Labels of a PNG, in bytes or base64."""
    if isinstance(content, str):
        content = base64.b64decode(content)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "L"
        return np.array(picture)


def open_page(clip: Path, work: Path, objects: int = 1) -> Page:
    """A page on a workspace; a new one gets objects."""
    page = Page(make_desk(clip, work))
    while len(page.state()["objects"]) < objects:
        page.do("/api/objects")
    return page


def box(points, shape=(48, 64)) -> np.ndarray:
    """What `Squares` makes of points."""
    mask = np.zeros(shape, dtype=bool)
    (x0, y0), (x1, y1) = np.min(points, axis=0), np.max(points, axis=0)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask
