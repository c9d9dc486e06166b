"""Images come from Label Studio with its token, from elsewhere without it, or from a local folder."""

import io

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
    with pytest.raises(InputError, match="is not inside"):
        images.read("/data/local-files/?d=../outside.png")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/data/upload/1/a.png", "the address of Label Studio is not known"),
        ("s3://bucket/a.png", "turn on pre-signed URLs"),
        ("file:///etc/hostname", "expected an http address"),
        ("http://127.0.0.1:1/a.png", "cannot fetch http://127.0.0.1:1/a.png"),
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
