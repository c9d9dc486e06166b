"""The annotation page's server on the tiny clip, with a segmenter that fills boxes."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from conftest import tiny_mask
from PIL import Image
from starlette.testclient import TestClient
from tiny_run import Squares

from dextr_vos.clip import open_clip
from dextr_vos.masks import write_labels
from dextr_vos.web.app import make_app
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.service import ClipService, Propagation
from dextr_vos.workspace import Workspace

PORTAL = None  # the event loop that clients share, see web/conftest.py
TOKEN = "the-token"
BASE = "http://127.0.0.1:8710"
POINTS = [[8, 20], [25, 22], [16, 14], [17, 33]]
OTHER = [[40, 6], [52, 6], [46, 2], [46, 11]]
TINY = Propagation(
    settings=("batch=1", "correction_steps=2", "longest_side=64"),
    max_steps=2,
    device="cpu",
)


class Corrector(Squares):
    """Fills the box of extreme points; the last click adds five by five pixels to a mask, or removes them."""

    name = "corrector"
    corrects = True

    def prompted(self, image_rgb, prompts):
        masks = []
        for prompt in prompts:
            if prompt.mask is not None:
                mask = prompt.mask.copy()
            elif prompt.points_xy is not None:
                (mask,) = self.probabilities(image_rgb, [prompt.points_xy])
            else:
                mask = np.zeros(image_rgb.shape[:2], dtype=np.float32)
            if prompt.clicks:
                x, y, positive = prompt.clicks[-1]
                mask[around(x, y)] = positive
            masks.append(mask)
        return masks


def around(x: int, y: int) -> tuple[slice, slice]:
    """The pixels that a click of `Corrector` changes."""
    return slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3)


def squares() -> SegmenterLoader:
    return SegmenterLoader("squares", Squares)


def make_service(
    clip: Path, work: Path, readonly: str | None = None, loader: SegmenterLoader | None = None
) -> ClipService:
    return ClipService(open_clip(clip), Workspace(work), loader or squares(), TINY, readonly)


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
    """A client that does what the page does: it keeps its state up to date by what edits change."""

    def __init__(self, service) -> None:
        self.service = service
        self.client = TestClient(
            outlived(make_app(service, TOKEN)),
            base_url=BASE,
            headers={"X-Dextr-Vos-Token": TOKEN},
            follow_redirects=False,
        )
        self.client.portal = PORTAL
        self._state: dict = {"version": None}

    def get(self, path: str):
        return self.client.get(path)

    def post(self, path: str, /, **body):
        return self.client.post(path, json=body)

    def do(self, path: str, /, **body) -> dict:
        """Make an edit; the answer, with the page's `state` after it."""
        response = self.post(path, **body)
        assert response.status_code == 200, response.text
        answer = response.json()
        if "changes" in answer and answer["base"] == self._state["version"]:
            self._state = merged(self._state, answer)
            whole = self.get("/api/state").json()
            assert self._state == whole or whole["version"] > answer["version"], (
                "the changes are not all there"
            )
        answer["state"] = self.state()
        return answer

    def refused(self, path: str, /, expected: int = 400, **body) -> str:
        response = self.post(path, **body)
        assert response.status_code == expected, response.text
        return response.json()["error"]

    def state(self) -> dict:
        self._state = self.get("/api/state").json()
        return self._state

    def names(self) -> list[str]:
        return self.get("/api/names").json()

    def points(self, index: int, object_id: int, points, **more) -> dict:
        return self.do(f"/api/frames/{index}/objects/{object_id}/points", points=points, **more)

    def mask(self, index: int) -> np.ndarray | None:
        response = self.get(f"/api/masks/{index}")
        return None if response.status_code == 204 else decoded(response.content)


def merged(state: dict, answer: dict) -> dict:
    """A state with the changes of an edit, as the page merges them."""
    after = {**state, **answer["changes"]}
    for key in ("keyframes", "status"):
        if state[key] is not None and key in answer["changes"]:
            entries = {**state[key], **answer["changes"][key]}
            after[key] = {index: entry for index, entry in entries.items() if entry is not None}
    return after


def decoded(content: bytes | str) -> np.ndarray:
    """Labels of a PNG, in bytes or base64."""
    if isinstance(content, str):
        content = base64.b64decode(content)
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode in ("L", "P"), "the page decodes 8 bits, grey or indexed"
        return np.array(image)


def open_page(clip: Path, work: Path, objects: int = 1, corrects: bool = False) -> Page:
    """A page on a workspace; a new one gets objects. Its segmenter takes clicks that correct, or does not."""
    loader = SegmenterLoader("corrector", Corrector, corrects=True) if corrects else None
    page = Page(make_service(clip, work, loader=loader))
    while len(page.state()["objects"]) < objects:
        page.do("/api/objects")
    return page


def box(points, shape=(48, 64)) -> np.ndarray:
    """What `Squares` makes of points."""
    mask = np.zeros(shape, dtype=bool)
    (x0, y0), (x1, y1) = np.min(points, axis=0), np.max(points, axis=0)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


def write_run(page: Page, work: Path, keyframes=()) -> None:
    """A finished run whose masks are the true ones, as a command may make it beside the page."""
    run = work / "propagation"
    for index in range(6):
        write_labels(run / "masks" / f"{index:05d}.png", tiny_mask(index))
    for index in keyframes:
        path = work / "keyframes" / f"{index:05d}.png"
        (run / "masks" / path.name).write_bytes(path.read_bytes())
    (run / "run.json").write_text(json.dumps({"keyframes": [f"{index:05d}" for index in keyframes]}))
    scores = {f"{index:05d}": {"1": 1.0 - index / 10} for index in range(6)}
    (run / "confidence.json").write_text(json.dumps(scores))
    page.service.poll()
    page.state()
