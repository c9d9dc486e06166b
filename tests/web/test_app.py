"""The routes: what the page asks for and gets, and one sentence for whatever is wrong."""

import asyncio
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import tiny_mask
from PIL import Image
from tiny_page import OTHER, POINTS, Page, box, decoded, make_desk, open_page

from dextr_vos.clip import open_clip
from dextr_vos.export.overlay import write_overlay_video
from dextr_vos.masks import write_labels
from dextr_vos.video import VideoClip
from dextr_vos.web.events import Events
from dextr_vos.web.images import THUMB_HEIGHT, ClipImages
from dextr_vos.workspace import ResultMasks


@pytest.fixture
def page(tiny_clip, tmp_path):
    return open_page(tiny_clip, tmp_path / "w")


def test_the_state_has_the_shape_of_the_contract(page):
    state = page.state()
    assert set(state) == {
        "mode", "title", "version", "readonly", "fps", "frames", "size", "names", "objects", "keyframes",
        "history", "masks", "confidence", "suggested", "job", "last_job", "engine", "status", "exports",
        "saved",
    }  # fmt: skip
    assert state["mode"] == "clip"
    assert state["title"] == "tiny"
    assert state["size"] == [64, 48]
    assert state["frames"] == len(state["names"]) == 6
    assert state["objects"] == [{"id": 1, "name": "object 1", "colour": "#ff463c", "visible": True}]
    assert state["history"] == {"undo": "new object 1", "redo": None}
    assert state["saved"].endswith("Z")


def test_the_version_grows_by_one_with_each_change(page):
    before = page.state()["version"]
    assert page.points(0, 1, POINTS)["version"] == before + 1
    assert page.do("/api/undo")["version"] == before + 2
    page.refused("/api/frames/0/objects/9/points", points=POINTS)
    assert page.state()["version"] == before + 2


def test_the_version_goes_on_over_a_restart(page, tiny_clip, tmp_path):
    page.points(0, 1, POINTS)
    assert open_page(tiny_clip, tmp_path / "w").state()["version"] > page.state()["version"]


def test_pictures_and_their_tags(page, tiny_clip, tmp_path):
    answer = page.get("/api/frames/2")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (64, 48)
    assert answer.headers["cache-control"] == "private, no-cache"
    again = page.client.get("/api/frames/2", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    with Image.open(io.BytesIO(page.get("/api/thumbs/2").content)) as picture:
        assert picture.height == THUMB_HEIGHT


def test_a_jpeg_is_sent_as_it_is(tmp_path):
    folder = tmp_path / "jpegs"
    folder.mkdir()
    for index in range(2):
        Image.new("RGB", (64, 48), (index * 90, 20, 30)).save(folder / f"{index}.jpg", quality=71)
    page = Page(make_desk(folder, tmp_path / "w"))
    assert page.get("/api/frames/1").content == (folder / "1.jpg").read_bytes()


def test_a_video_is_read_on_and_not_sought_anew(tmp_path, tiny_clip):
    clip = open_clip(tiny_clip)
    for name in clip.names:
        write_labels(tmp_path / "m" / f"{name}.png", tiny_mask(0))
    write_overlay_video(tmp_path / "v.mp4", clip, ResultMasks.find(tmp_path / "m"))
    video = VideoClip(tmp_path / "v.mp4")
    expected = [image.copy() for image in video]
    asked = []
    read = video.read
    video.read = lambda index: asked.append(index) or read(index)
    pictures = ClipImages(video)
    for index in (4, 2, 5, 0):
        assert (pictures.read(index) == expected[index]).all()
    assert asked == [0, 1, 2, 3, 4, 5]
    assert pictures.thumb(3)
    assert asked == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/api/frames/0/objects/1/points", {"points": [[1, 2], [3]]}, "points.1.1: Field required"),
        ("/api/frames/0/objects/1/points", {"points": "x"}, "points: "),
        ("/api/frames/0/objects/1/points", {}, "points: Field required"),
        ("/api/frames/0/objects/1/points", {"points": [], "more": 1}, "more: "),
        ("/api/frames/0/objects/1/points", {"points": [[99, 2]]}, "(99, 2) is outside the 64×48 image"),
        ("/api/frames/0/objects/1/points", {"points": [[1e9, 2]]}, "points.0.0: "),
        ("/api/frames/0/objects/1/points", {"points": [[1, 1], [2, 1], [1, 1], [2, 1]]}, "span a box of 2×1"),
        ("/api/frames/0/objects/1/points", {"points": [[1, 1]] * 1001}, "expected at most 1000"),
        ("/api/frames/0/objects/9/points", {"points": POINTS}, "there is no object 9; there are 1"),
        ("/api/frames/6/objects/1/points", {"points": POINTS}, "there is no frame 6; expected 0 to 5"),
        ("/api/frames/0/objects/300/points", {"points": POINTS}, "number: "),
        ("/api/frames/0/objects/1/stroke", {"path": [], "radius": 2}, "path: "),
        ("/api/frames/0/objects/1/stroke", {"path": [[1, 1]], "radius": 0}, "radius: "),
        ("/api/frames/7/objects/1/clear", {}, "there is no frame 7"),
        ("/api/frames/7/lock", {"locked": True}, "there is no frame 7"),
        ("/api/frames/0/status", {"status": "done"}, "start dextr-vos annotate with --config"),
        ("/api/objects", {"colour": "red"}, "colour: "),
        ("/api/objects", {"name": ""}, "name: "),
        ("/api/objects/5", {"name": "x"}, "there is no object 5"),
        ("/api/objects/5/delete", {}, "there is no object 5"),
        ("/api/objects/order", {"ids": [1, 1]}, "expected the numbers of all objects, [1]"),
        ("/api/redo", {}, "there is nothing to redo"),
        ("/api/export", {"kind": "exe"}, "kind: "),
        ("/api/propagate", {"budget": 0}, "budget: "),
        ("/api/reset", {"confirm": True}, "start dextr-vos annotate with --config"),
    ],
)
def test_a_broken_request_is_one_sentence(page, path, body, sentence):
    before = page.state()
    assert sentence in page.refused(path, **body)
    assert page.state() == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"points": [[NaN, 1]]}'])
def test_a_body_that_is_no_json_is_one_sentence(page, content):
    headers = {"Content-Type": "application/json"}
    answer = page.client.post("/api/frames/0/objects/1/points", content=content, headers=headers)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


def test_other_addresses_and_methods(page):
    assert page.get("/api/nothing").json() == {"error": "there is nothing at this address"}
    assert page.get("/api/undo").status_code == 405
    assert page.get("/docs").status_code == page.get("/openapi.json").status_code == 404


def test_an_object_alone_and_frames_without_masks(page):
    page.points(0, 1, POINTS)
    assert ((decoded(page.get("/api/frames/0/objects/1/mask").content) == 255) == box(POINTS)).all()
    assert page.get("/api/frames/0/objects/2/mask").status_code == 204
    assert page.get("/api/masks/3").status_code == 204


def test_who_reads_only_changes_nothing_and_sees_what_the_other_does(page, tiny_clip, tmp_path):
    reader = Page(make_desk(tiny_clip, tmp_path / "w", readonly="process 7 on studio works on it"))
    assert reader.state()["readonly"] == "process 7 on studio works on it"
    for path, body in {
        "/api/objects": {},
        "/api/frames/0/objects/1/points": {"points": POINTS},
        "/api/undo": {},
        "/api/propagate": {},
        "/api/cancel": {},
        "/api/export": {"kind": "masks"},
    }.items():
        assert reader.refused(path, expected=409, **body) == "process 7 on studio works on it"
    before = reader.state()["version"]
    page.points(0, 1, POINTS)
    state = reader.state()
    assert state["version"] > before
    assert state["keyframes"]["0"]["objects"]["1"]["points"] == POINTS
    assert (reader.mask(0) == page.mask(0)).all()


def test_many_clients_do_not_block_one_another(page):
    """While a mask is being made, everybody else is served."""
    began, go_on = threading.Event(), threading.Event()
    segmenter = page.service.session.engine.get()
    probabilities = segmenter.probabilities

    def slow(image_rgb, objects_xy):
        began.set()
        assert go_on.wait(60)
        return probabilities(image_rgb, objects_xy)

    segmenter.probabilities = slow
    answers = []
    clicking = threading.Thread(target=lambda: answers.append(page.points(0, 1, POINTS)))
    clicking.start()
    assert began.wait(60)
    other = Page(page.service)
    assert other.state()["frames"] == 6
    assert other.get("/api/frames/3").status_code == 200
    assert other.get("/api/masks/3").status_code == 204
    go_on.set()
    clicking.join(60)
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
        thread.join(60)
    assert set(open_page(tiny_clip, tmp_path / "w").state()["keyframes"]) == {"0", "1", "2", "3"}


def test_events_tell_the_version_at_once_and_then_what_happens():
    async def listen() -> list[tuple[str, dict]]:
        events = Events()
        stream = events.stream(lambda: 17)
        told = [await anext(stream)]
        for index in (3, 4):
            events.frame(index)
        events.job({"phase": "training", "done": 1})
        events.job({"phase": "training", "done": 2})
        events.changed(18)
        events.changed(19)
        told += [await anext(stream) for _ in range(4)]
        events.job({"phase": "training", "done": 3})
        events.job(None)
        told.append(await anext(stream))
        events.close()
        told += [each async for each in stream]
        return [(text.split("\n")[0][7:], json.loads(text.split("\n")[1][6:])) for text in told]

    with ThreadPoolExecutor(1) as pool:  # in this thread a loop may run: the browser's, of tests before
        first, *told, last = pool.submit(asyncio.run, listen()).result()
    assert first == ("state", {"version": 17})
    assert sorted(told, key=repr) == [
        ("frame", {"index": 3}),
        ("frame", {"index": 4}),
        ("job", {"phase": "training", "done": 2}),
        ("state", {"version": 19}),
    ]
    assert last == ("job", None)
