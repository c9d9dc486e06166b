"""The routes: what the page asks for and gets, and one sentence for whatever is wrong."""

import base64
import threading

import pytest
from conftest import write_tiny_clip
from PIL import Image
from tiny_page import OTHER, POINTS, Page, box, decoded, make_service, open_page
from tiny_run import Squares

from dextr_vos.clip import open_clip
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.service import ClipService
from dextr_vos.workspace import Workspace


@pytest.fixture
def page(tiny_clip, tmp_path):
    return open_page(tiny_clip, tmp_path / "w")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A page on which no edit succeeds."""
    folder = tmp_path_factory.mktemp("opened")
    return open_page(write_tiny_clip(folder / "tiny"), folder / "w")


@pytest.fixture
def unchanged(opened):
    """A page that must be after the test what it was before."""
    before = opened.state()
    yield opened
    assert opened.state() == before


def test_the_state_has_the_shape_of_the_contract(page):
    state = page.state()
    assert set(state) == {
        "mode", "project", "title", "session", "version", "readonly", "fps", "timed", "frames", "size",
        "corrects", "objects", "labels", "keyframes", "history", "masks", "confidence", "cuts", "flashes",
        "poor", "object_confidence", "replaced", "suggested",
        "job", "last_job", "status", "exports", "saved",
    }  # fmt: skip
    assert state["mode"] == "clip"
    assert state["title"] == "tiny"
    assert state["size"] == [64, 48]
    assert state["frames"] == len(page.names()) == 6
    assert state["objects"] == [{"id": 1, "name": "object 1", "colour": "#ff3c3c", "visible": True}]
    assert state["history"] == {"undo": "new object 1", "redo": None}
    assert state["saved"].endswith("Z")


def test_the_version_grows_by_one_with_each_change(page):
    before = page.state()["version"]
    answer = page.points(0, 1, POINTS)
    assert (answer["base"], answer["version"]) == (before, before + 1)
    assert page.do("/api/undo")["version"] == before + 2
    page.refused("/api/frames/0/objects/9/points", points=POINTS)
    assert page.state()["version"] == before + 2


def test_an_edit_is_answered_with_what_it_changed_and_no_more(page):
    for index in range(5):
        page.points(index, 1, POINTS)
    answer = page.post("/api/frames/2/objects/1/points", points=[*POINTS, [20, 20]]).json()
    assert set(answer) == {"session", "base", "version", "changes", "mask"}
    assert set(answer["changes"]["keyframes"]) == {"2"}
    assert set(answer["changes"]) <= {"version", "keyframes", "history", "saved"}
    answer = page.post("/api/frames/2/keyframe", keyframe=False).json()
    assert answer["changes"]["keyframes"] == {"2": None}


def test_a_page_that_missed_an_edit_sees_that_it_did(page):
    other = Page(page.service)
    known = other.state()["version"]
    page.points(0, 1, POINTS)
    assert other.post("/api/objects").json()["base"] > known


def test_a_mask_is_sent_as_it_was_written(page, tmp_path):
    answer = page.points(0, 1, POINTS)
    written = (tmp_path / "w" / "keyframes" / "00000.png").read_bytes()
    assert base64.b64decode(answer["mask"]) == written
    assert page.get("/api/masks/0").content == written


def test_versions_do_not_depend_on_the_clock_and_those_of_a_restarted_server_are_told_apart(
    page, tiny_clip, tmp_path, monkeypatch
):
    answer = page.points(0, 1, POINTS)
    before = page.state()
    assert answer["session"] == before["session"]
    monkeypatch.setattr("time.time", lambda: 0.0)
    after = open_page(tiny_clip, tmp_path / "w").state()
    assert after["session"] != before["session"]
    assert after["version"] <= before["version"]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/api/frames/0/objects/1/points", {"points": [[1, 2], [3]]}, "points.1.1: Field required"),
        ("/api/frames/0/objects/1/points", {"points": "x"}, "points: "),
        ("/api/frames/0/objects/1/points", {}, "points: Field required"),
        ("/api/frames/0/objects/1/points", {"points": [], "more": 1}, "more: "),
        ("/api/frames/0/objects/1/points", {"points": [[99, 2]]}, "(99, 2) is outside the 64×48 image"),
        ("/api/frames/0/objects/1/points", {"points": [[1e9, 2]]}, "points.0.0: "),
        ("/api/frames/0/objects/1/points", {"points": [[1, 2, "maybe"]]}, "points.0.2: "),
        ("/api/frames/0/objects/1/points", {"points": [[1, 1], [2, 1], [1, 1], [2, 1]]}, "span a box of 2×1"),
        ("/api/frames/0/objects/1/points", {"points": [[1, 1]] * 1001}, "expected at most 1000"),
        ("/api/frames/0/objects/9/points", {"points": POINTS}, "there is no object 9; there are 1"),
        ("/api/frames/6/objects/1/points", {"points": POINTS}, "there is no frame 6; expected 0 to 5"),
        ("/api/frames/0/objects/300/points", {"points": POINTS}, "object_id: "),
        ("/api/frames/0/objects/1/stroke", {"path": [], "radius": 2}, "path: "),
        ("/api/frames/0/objects/1/stroke", {"path": [[1, 1]], "radius": 0}, "radius: "),
        ("/api/frames/7/objects/1/clear", {}, "there is no frame 7"),
        ("/api/frames/7/lock", {"locked": True}, "there is no frame 7"),
        ("/api/frames/0/status", {"status": "done"}, "start dextr-vos annotate with --config"),
        ("/api/objects", {"colour": "red"}, "colour: "),
        ("/api/objects", {"name": ""}, "name: "),
        ("/api/objects/5", {"name": "x"}, "there is no object 5"),
        ("/api/objects/5/delete", {}, "there is no object 5"),
        ("/api/objects/order", {"ids": [1, 1]}, "expected the ids of all objects, [1]"),
        ("/api/redo", {}, "there is nothing to redo"),
        ("/api/export", {"format": "exe"}, "there is no format 'exe'; expected one of masks, "),
        ("/api/export", {"format": "coco", "objects": []}, "objects: "),
        ("/api/propagate", {"budget": 0}, "budget: "),
        ("/api/reset", {"confirm": True}, "start dextr-vos annotate with --config"),
    ],
)
def test_a_broken_request_is_refused_in_one_sentence(unchanged, path, body, sentence):
    assert sentence in unchanged.refused(path, **body)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"points": [[NaN, 1]]}'])
def test_a_body_that_is_no_json_is_refused_in_one_sentence(unchanged, content):
    headers = {"Content-Type": "application/json"}
    answer = unchanged.client.post("/api/frames/0/objects/1/points", content=content, headers=headers)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


def test_other_addresses_and_methods(page):
    assert page.get("/api/nothing").json() == {"error": "there is nothing at this address"}
    refused = page.get("/api/undo")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert page.get("/docs").status_code == 404


def test_an_object_alone_and_frames_without_masks(page):
    page.points(0, 1, POINTS)
    assert ((decoded(page.get("/api/frames/0/objects/1/mask").content) == 255) == box(POINTS)).all()
    assert page.get("/api/frames/0/objects/2/mask").status_code == 204
    assert page.get("/api/masks/3").status_code == 204


def test_a_read_only_page_changes_nothing_and_sees_what_the_other_does(page, tiny_clip, tmp_path):
    reader = Page(make_service(tiny_clip, tmp_path / "w", readonly="process 7 on studio works on it"))
    assert reader.state()["readonly"] == "process 7 on studio works on it"
    for path, body in {
        "/api/objects": {},
        "/api/frames/0/objects/1/points": {"points": POINTS},
        "/api/undo": {},
        "/api/propagate": {},
        "/api/cancel": {},
        "/api/export": {"format": "masks"},
    }.items():
        assert reader.refused(path, expected=409, **body) == "process 7 on studio works on it"
    before = reader.state()["version"]
    page.points(0, 1, POINTS)
    state = reader.state()
    assert state["version"] > before
    assert state["keyframes"]["0"]["objects"]["1"]["points"] == POINTS
    assert (reader.mask(0) == page.mask(0)).all()


class SlowSquares(Squares):
    """Makes a mask when it is allowed to."""

    def __init__(self):
        self.began, self.allowed = threading.Event(), threading.Event()

    def probabilities(self, image_rgb, objects_xy):
        self.began.set()
        assert self.allowed.wait(600)
        return super().probabilities(image_rgb, objects_xy)


def test_while_a_mask_is_being_made_everybody_else_is_served(tiny_clip, tmp_path):
    segmenter = SlowSquares()
    loader = SegmenterLoader("squares", lambda: segmenter)
    page = Page(ClipService(open_clip(tiny_clip), Workspace(tmp_path / "w"), loader))
    page.do("/api/objects")
    answers = []
    clicking = threading.Thread(target=lambda: answers.append(page.points(0, 1, POINTS)))
    clicking.start()
    assert segmenter.began.wait(600)
    other = Page(page.service)
    assert other.state()["frames"] == 6
    assert other.get("/api/frames/3").status_code == 200
    assert other.get("/api/masks/3").status_code == 204
    segmenter.allowed.set()
    clicking.join(600)
    assert answers[0]["mask"]


def test_changes_from_many_threads_are_all_kept(page, tiny_clip, tmp_path):
    pages = [Page(page.service) for _ in range(4)]
    threads = [
        threading.Thread(target=pages[index].points, args=(index, 1, OTHER if index % 2 else POINTS))
        for index in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert set(open_page(tiny_clip, tmp_path / "w").state()["keyframes"]) == {"0", "1", "2", "3"}


def test_images_with_names_of_any_script_are_shown_and_known_again(tiny_clip, tmp_path):
    for path in sorted(tiny_clip.iterdir()):
        path.rename(path.with_name(f"фото “{path.stem}”\n.png"))
    page = open_page(tiny_clip, tmp_path / "w")
    for address in ("/api/frames/0", "/api/thumbs/5"):
        answer = page.get(address)
        assert answer.status_code == 200
        known = {"If-None-Match": answer.headers["etag"]}
        assert page.client.get(address, headers=known).status_code == 304
    assert page.points(0, 1, POINTS)["mask"]


def test_a_frame_that_has_another_size_by_now_is_refused(page, tiny_clip):
    Image.new("RGB", (32, 24)).save(tiny_clip / "00003.png")
    for address in ("/api/frames/3", "/api/thumbs/3"):
        assert "all frames of a clip must have one size" in page.get(address).json()["error"]
    assert "is 32×24 pixels" in page.refused("/api/frames/3/objects/1/points", points=POINTS)
    assert page.points(2, 1, POINTS)["mask"]


def test_a_thumb_of_another_height_is_another_file(page, monkeypatch):
    tags = [page.get(f"/api/{kind}/0").headers["etag"] for kind in ("frames", "thumbs")]
    assert len({*tags}) == 2
    monkeypatch.setattr("dextr_vos.web.app.THUMB_HEIGHT", 7)
    assert page.get("/api/thumbs/0").headers["etag"] not in tags
