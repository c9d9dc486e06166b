"""Images for the browser: JPEGs, thumbnails, tags, and videos decoded in order."""

import gc
import inspect
import io
import tracemalloc

import pytest
from conftest import tiny_mask
from PIL import Image
from tiny_page import Page, make_service, open_page

from dextr_vos.clip import open_clip
from dextr_vos.export.overlay import write_overlay_video
from dextr_vos.masks import write_labels
from dextr_vos.video.video_clip import VideoClip
from dextr_vos.web.images import THUMB_HEIGHT, BoundedCache, ClipImages
from dextr_vos.workspace import ResultMasks


@pytest.fixture
def page(tiny_clip, tmp_path):
    return open_page(tiny_clip, tmp_path / "w")


def test_images_and_their_tags(page):
    response = page.get("/api/frames/2")
    with Image.open(io.BytesIO(response.content)) as image:
        assert image.size == (64, 48)
    assert response.headers["cache-control"] == "private, no-cache"
    again = page.client.get("/api/frames/2", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304
    with Image.open(io.BytesIO(page.get("/api/thumbs/2").content)) as image:
        assert image.height == THUMB_HEIGHT


def test_a_jpeg_is_sent_as_it_is(tmp_path):
    folder = tmp_path / "jpegs"
    folder.mkdir()
    for index in range(2):
        Image.new("RGB", (64, 48), (index * 90, 20, 30)).save(folder / f"{index}.jpg", quality=71)
    page = Page(make_service(folder, tmp_path / "w"))
    assert page.get("/api/frames/1").content == (folder / "1.jpg").read_bytes()


def test_a_video_is_decoded_in_order_without_seeking_again(tmp_path, tiny_clip):
    clip = open_clip(tiny_clip)
    for name in clip.names:
        write_labels(tmp_path / "m" / f"{name}.png", tiny_mask(0))
    write_overlay_video(tmp_path / "v.mp4", clip, ResultMasks.find(tmp_path / "m"))
    video = VideoClip(tmp_path / "v.mp4")
    expected = [image.copy() for image in video]
    read_indices = []
    read = video.read
    video.read = lambda index: read_indices.append(index) or read(index)
    images = ClipImages(video)
    for index in (4, 2, 5, 0):
        assert (images.read(index) == expected[index]).all()
    assert read_indices == [0, 1, 2, 3, 4, 5]
    assert images.thumb(3)
    assert read_indices == [0, 1, 2, 3, 4, 5]


def test_a_thumbnail_of_masks_has_the_colours_of_visible_objects(page):
    assert page.get("/api/thumbs/2/mask").status_code == 204
    page.points(2, 1, [[8, 20], [40, 22], [16, 14], [17, 33]])
    page.do("/api/objects/1", colour="#102030")

    def thumb():
        response = page.get("/api/thumbs/2/mask")
        with Image.open(io.BytesIO(response.content)) as image:
            return image.convert("RGBA")

    scale = THUMB_HEIGHT / 48
    image = thumb()
    assert image.size == (round(64 * scale), THUMB_HEIGHT)
    inside, outside = (int(20 * scale), int(24 * scale)), (int(50 * scale), int(24 * scale))
    assert image.getpixel(inside)[:3] == (0x10, 0x20, 0x30)
    assert image.getpixel(inside)[3] > 100
    assert image.getpixel(outside)[3] == 0
    page.do("/api/objects/1", visible=False)
    assert thumb().getpixel(inside)[3] == 0


def test_a_cache_of_many_small_values_takes_no_more_memory_than_its_limit(tmp_path):
    limit = 1_000_000
    cache = BoundedCache(limit, len)
    gc.collect()
    tracemalloc.start()
    for number in range(5000):
        key = (tmp_path / f"{number:05}.png", number << 40, number << 40, frozenset({1, 2, 3}))
        cache.put(key, bytes(200))
    # other threads may allocate meanwhile
    here = [tracemalloc.Filter(True, path) for path in (__file__, inspect.getfile(BoundedCache))]
    taken = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(here).traces)
    tracemalloc.stop()
    assert limit / 2 < taken < limit
    assert cache.get(key) == bytes(200)
    cache.clear()
    cache.put(key, bytes(2 * limit))
    assert cache.get(key) == bytes(2 * limit)  # the newest stays, however large
