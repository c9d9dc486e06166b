"""The workflow in a real browser: keyframe, propagate, correct a later frame, propagate again, export."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from web.browser.conftest import SHORT, Server

from dextr_vos.masks import read_labels

FRAMES = 3
LAST = FRAMES - 1
# The scooter in the first of the small frames, clicked roughly.
ENDS = [(64, 62), (146, 66), (105, 34), (84, 105)]


@pytest.fixture(scope="module")
def working(small_clip, tmp_path_factory):
    server = Server(small_clip, *SHORT, out=tmp_path_factory.mktemp("clip") / "work")
    yield server
    server.stop()


def _propagate(screen):
    state = screen.run(lambda: screen.page.keyboard.press("Control+Enter"))
    assert state["last_job"]["outcome"] == "done", state["last_job"]
    return state


def test_keyframe_propagate_correct_propagate_again_export(working, open_screen, tmp_path):
    with open_screen(working.address) as screen:
        screen.click(*ENDS)
        clicked = screen.labels()
        state = _propagate(screen)
        assert state["masks"] == {"done": True, "stale": False}
        first = []
        for index in range(FRAMES):
            screen.go(index)
            first.append(screen.labels())
        assert np.array_equal(first[0], clicked), "a keyframe keeps its own mask"
        assert sum(mask.any() for mask in first[1:]) == 2

        screen.go(LAST)
        screen.press("b")
        screen.drag((20, 20), (40, 20))
        corrected = screen.labels()
        assert (corrected[20, 20:41] == 1).all()
        assert np.array_equal(corrected[40:], first[LAST][40:]), "the rest of the mask stays as it was"
        assert screen.state()["masks"]["stale"]
        assert str(LAST) in screen.state()["keyframes"]
        assert not _propagate(screen)["masks"]["stale"]
        run = json.loads((working.out / "propagation" / "run.json").read_text(encoding="utf-8"))
        assert run["continued_from"], "the network learns on"
        assert np.array_equal(screen.labels(), corrected), "a correction sticks"
        screen.go(1)
        assert (screen.labels() != first[1]).any(), "masks beside a correction are made anew"
        screen.go(LAST)
        assert screen.state()["suggested"] == 1

        masks = [screen.server_mask(index) for index in range(FRAMES)]
        _export(screen, tmp_path, masks)


def _export(screen, folder, masks):
    made = {}
    screen.press("x")
    for kind, suffix in (("masks", ".zip"), ("overlay", ".mp4"), ("coco", ".json")):
        screen.test_id("export-format").select_option(kind)
        screen.test_id("export-start").click()
        file = screen.test_id("export-file").filter(has_text=suffix)
        file.wait_for()
        screen.until("() => fetch('/api/state').then((a) => a.json()).then((s) => s.job === null)")
        with screen.page.expect_download() as waited:
            file.click()
        made[kind] = folder / waited.value.suggested_filename
        waited.value.save_as(made[kind])

    with zipfile.ZipFile(made["masks"]) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        assert len(names) == FRAMES
        for name, mask in zip(names, masks, strict=True):
            assert np.array_equal(read_labels(Path(archive.extract(name, folder))), mask)

    import av

    with av.open(made["overlay"]) as video:
        frames = list(video.decode(video=0))
    assert len(frames) == FRAMES

    from export.formats.test_coco import numpy_1
    from pycocotools import mask as run_length

    coco = json.loads(made["coco"].read_text(encoding="utf-8"))
    order = {image["id"]: place for place, image in enumerate(coco["images"])}
    for one in coco["annotations"]:
        mask = masks[order[one["image_id"]]]
        with numpy_1():
            decoded = run_length.decode(one["segmentation"])
        assert np.array_equal(decoded, mask == one["category_id"])
    assert len(coco["annotations"]) == sum(mask.any() for mask in masks)
