"""Images come from Label Studio with its token, from elsewhere without it, or from a local folder."""

import io
import threading

import numpy as np
import pytest
from PIL import Image
from tiny_label_studio import label_studio

from dextr_vos.errors import InputError
from dextr_vos.integrations.label_studio.task_images import LabelStudioHost, TaskImages

PIXELS = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def png(pixels=PIXELS) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("token", "header"), [("legacy", "Token legacy"), ("a.b.c", "Bearer minutes-a.b.c"), (None, None)]
)
def test_an_uploaded_image_is_fetched_with_the_token_once(token, header):
    with label_studio(png(), header) as host:
        images = TaskImages(LabelStudioHost(host.address, token))
        for _ in range(2):
            assert np.array_equal(images.read("/data/upload/1/00000.png"), PIXELS)
        assert host.sent == [header]


def test_the_token_goes_to_no_other_server():
    with label_studio(png()) as host, label_studio(png()) as other:
        images = TaskImages(LabelStudioHost(host.address, "secret"))
        host.elsewhere = f"{other.address}/bucket.png"
        images.read(f"{other.address}/image.png")
        images.read("/moved")
        assert host.sent == ["Token secret"]
        assert other.sent == [None, None]


@pytest.mark.parametrize("source", ["/file://{path}", "file://{path}", "/ftp://127.0.0.1/{path}"])
def test_no_address_opens_a_file(tmp_path, source):
    path = tmp_path / "secret.png"
    path.write_bytes(png())
    with pytest.raises(InputError, match="expected an"):
        TaskImages(LabelStudioHost("http://127.0.0.1:1")).read(source.format(path=path))
    with pytest.raises(InputError, match="expected an address as http"):
        LabelStudioHost.of_setup(f"file://{tmp_path}", None)


def test_a_redirect_opens_no_file(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    with label_studio(png()) as host:
        host.elsewhere = f"file://{tmp_path}/secret.png"
        with pytest.raises(InputError, match="answered 302"):
            TaskImages(LabelStudioHost(host.address)).read("/moved")


def test_an_image_of_one_label_studio_is_not_that_of_another():
    images = TaskImages()
    for pixels in (PIXELS, 255 - PIXELS):
        with label_studio(png(pixels)) as host:
            images.offer_host(LabelStudioHost(host.address))
            assert np.array_equal(images.read("/data/upload/1/a.png"), pixels)


def test_a_slow_image_holds_up_no_other():
    waiting, go_on = threading.Event(), threading.Event()

    class Slow(LabelStudioHost):
        def authorization(self) -> None:
            waiting.set()
            assert go_on.wait(600)

    with label_studio(png()) as host, label_studio(png()) as other:
        images = TaskImages(Slow(host.address))
        thread = threading.Thread(target=images.read, args=["/data/upload/1/slow.png"])
        thread.start()
        try:
            assert waiting.wait(600)
            quick = threading.Thread(target=images.read, args=[f"{other.address}/a.png"], daemon=True)
            quick.start()
            quick.join(300)
            assert not quick.is_alive()
        finally:
            go_on.set()
            thread.join()


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b"[]", b'{"access": 1}'])
def test_a_refresh_that_gives_no_token_is_said(answer):
    with label_studio(png()) as host:
        host.refreshed = answer
        with pytest.raises(InputError, match="did not answer with a token"):
            TaskImages(LabelStudioHost(host.address, "a.b.c")).read("/data/a.png")


def test_letters_of_every_kind_may_be_in_an_address():
    with label_studio(png()) as host:
        images = TaskImages(LabelStudioHost(host.address))
        assert np.array_equal(images.read("/data/upload/1/ä b.png?c=ö"), PIXELS)


def test_a_host_given_from_the_start_stays():
    with label_studio(png()) as host:
        images = TaskImages(LabelStudioHost(host.address, "secret"))
        images.offer_host(LabelStudioHost("http://127.0.0.1:1", "other"))
        images.read("/data/upload/1/a.png")
        assert host.sent == ["Token secret"]


def test_local_files_are_read_from_disk_and_only_inside_their_folder(tmp_path):
    root = tmp_path / "root"
    (root / "clip a").mkdir(parents=True)
    Image.fromarray(PIXELS).save(root / "clip a" / "0.png")
    Image.fromarray(PIXELS).save(tmp_path / "outside.png")
    images = TaskImages(folder=root)
    assert np.array_equal(images.read("/data/local-files/?d=clip%20a/0.png"), PIXELS)
    for name, sentence in (("../outside.png", "is not inside"), ("%00", "no file has"), ("", "cannot read")):
        with pytest.raises(InputError, match=sentence):
            images.read(f"/data/local-files/?d={name}")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/data/upload/1/a.png", "the address of Label Studio is not known"),
        ("s3://bucket/a.png", "turn on pre-signed URLs"),
        ("file:///etc/hostname", "expected an http address"),
        ("http://127.0.0.1:1/a.png", "cannot fetch http://127.0.0.1:1/a.png"),
        ("http://127.0.0.1:abc/a.png", "cannot fetch http://127.0.0.1:abc/a.png"),
        ("http://[::1/a.png", "cannot fetch http"),
        ("http:///a.png", "expected an address as http"),
    ],
)
def test_what_cannot_be_fetched_is_said(source, sentence):
    with pytest.raises(InputError, match=sentence):
        TaskImages().read(source)


def test_a_refused_token_and_a_broken_image_are_said():
    with label_studio(b"not an image", "Token right") as host:
        with pytest.raises(InputError, match=r"answered 401 .*LABEL_STUDIO_API_KEY"):
            TaskImages(LabelStudioHost(host.address, "wrong")).read("/data/a.png")
        with pytest.raises(InputError, match=r"cannot read the image /data/a.png"):
            TaskImages(LabelStudioHost(host.address, "right")).read("/data/a.png")
