from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.images import SUFFIXES

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 24, 32, 3), dtype=np.uint8)


def write_stack(path: Path, frames: np.ndarray = FRAMES, **options: object) -> Path:
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, **options)
    return path


def assert_frames(clip, frames=FRAMES):
    assert len(clip) == len(frames)
    assert clip.names == tuple(f"{index:05d}" for index in range(len(frames)))
    assert clip.size_hw == frames.shape[1:3]
    for index in (5, 0, 3, 4, 1, 2, 1):
        assert np.array_equal(clip[index], frames[index]), index


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.tif", {}),
        ("a.tiff", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True, "duration": 40}),
        ("a.png", {"duration": 40}),
        ("a.apng", {"format": "PNG", "duration": 40}),
        ("a.PNG", {"default_image": False, "duration": 40}),
    ],
)
def test_images_of_one_file_are_a_clip(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    path = write_stack(tmp_path / name, **options)
    with open_clip(path) as clip:
        assert_frames(clip)
        assert clip.fps == pytest.approx(25 if "duration" in options else 24)
        assert clip.path == path
        assert clip.identity == open_clip(path).identity
    with pytest.raises(InputError, match="was closed; open it again"):
        clip[0]


@pytest.mark.skipif(".avif" not in SUFFIXES, reason="Pillow was built without AVIF")
def test_an_animated_avif_is_a_clip(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.avif", quality=100, subsampling="4:4:4", duration=40)
    clip = open_clip(path)
    assert (len(clip), clip.fps) == (6, 25)
    for index in (5, 0, 3):
        assert np.abs(clip[index].astype(int) - FRAMES[index]).mean() < 4, index


@pytest.mark.parametrize("name", ["a.apng", "a.GIF"])
def test_a_folder_of_one_animation_is_that_animation(tmp_path: Path, name: str) -> None:
    write_stack(tmp_path / name, format="PNG" if name == "a.apng" else "GIF", duration=40)
    assert len(open_clip(tmp_path)) == 6


def test_pages_of_another_size_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, odd = Image.fromarray(FRAMES[0]), Image.fromarray(FRAMES[1, :12])
    first.save(tmp_path / "a.tif", save_all=True, append_images=[odd, Image.fromarray(FRAMES[2])])
    assert len(open_clip(tmp_path / "a.tif")) == 2
    assert "a.tif holds 3 images, of which 2 are frames" in caplog.text


def test_an_animated_gif_is_a_clip(tmp_path: Path) -> None:
    frames = np.repeat(np.array([10, 60, 110, 160, 210, 250], np.uint8), 24 * 32 * 3).reshape(FRAMES.shape)
    assert_frames(open_clip(write_stack(tmp_path / "a.gif", frames, duration=40)), frames)


def test_the_image_in_front_of_an_animation_is_no_frame(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.png", np.concatenate([FRAMES[:1] // 2, FRAMES]), default_image=True)
    assert_frames(open_clip(path))


def test_a_folder_of_one_stack_is_that_stack(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.tif")
    (tmp_path / "notes.txt").write_text("six images")
    assert_frames(open_clip(tmp_path))


def test_a_stack_among_images_is_refused(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.tif")
    Image.fromarray(FRAMES[0]).save(tmp_path / "b.tif")
    with pytest.raises(InputError, match=r"a\.tif holds 6 images, of which a folder shows the first"):
        open_clip(tmp_path)


def test_a_thumbnail_makes_no_stack(tmp_path: Path) -> None:
    for name in "ab":
        small = Image.fromarray(FRAMES[1][::4, ::4])
        Image.fromarray(FRAMES[0]).save(tmp_path / f"{name}.tif", save_all=True, append_images=[small])
    assert len(open_clip(tmp_path)) == 2
    with pytest.raises(InputError, match="is a single image"):
        open_clip(tmp_path / "a.tif")


def test_deep_pages_are_stretched_alike(tmp_path: Path) -> None:
    levels = np.stack([np.full((24, 32), 1000 + 500 * page, np.uint16) for page in range(4)])
    clip = open_clip(write_stack(tmp_path / "a.tif", levels))
    assert [int(frame.max()) for frame in clip] == [0, 85, 170, 255]


def test_damage_is_named(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.webp", lossless=True)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"cannot read the image .*a\.webp"):
        list(open_clip(path))
