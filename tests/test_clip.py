import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from dextr_vos.clip import Clip, open_clip
from dextr_vos.errors import InputError
from dextr_vos.files import natural_key

COLOURS = np.linspace(0, 255, 4 * 6 * 3).reshape(4, 6, 3).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


class TestFolderClip:
    def test_natural_order_and_any_names(self, tmp_path: Path) -> None:
        for name in ("shot 10.png", "shot 9.png", "shot 1.v2.png"):
            save(tmp_path / name, Image.fromarray(COLOURS))
        (tmp_path / "notes.txt").write_text("not an image")
        (tmp_path / ".hidden.png").write_text("not looked at")
        clip = open_clip(tmp_path)
        assert clip.names == ("shot 1.v2", "shot 9", "shot 10")
        assert clip.size_hw == (4, 6)
        assert clip.index_of("shot 9") == 1
        assert len(list(clip)) == 3

    def test_natural_key_orders_mixed_names(self) -> None:
        names = ["b1", "a10", "a2", "10", "9", "a"]
        assert sorted(names, key=natural_key) == ["9", "10", "a", "a2", "a10", "b1"]

    def test_a_link_that_leads_nowhere_is_reported(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", Image.fromarray(COLOURS))
        (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
        with pytest.raises(InputError, match=r"there is no image .*b\.png"):
            open_clip(tmp_path)

    def test_odd_digits_and_equal_numbers_have_an_order(self) -> None:
        assert sorted(["1²3.png", "a01.png", "a1.png"], key=natural_key) == ["1²3.png", "a01.png", "a1.png"]

    def test_errors_name_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no clip"):
            open_clip(tmp_path / "missing")
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(InputError, match=r"no images in the folder .*empty: found nothing"):
            open_clip(empty)
        (empty / "a").mkdir()
        (empty / "note.txt").touch()
        with pytest.raises(InputError, match=r"empty holds no images, only the folder a; give that$"):
            open_clip(empty)
        (empty / "b").mkdir()
        with pytest.raises(InputError, match=r"holds no images, only the folders a, b; give one of them$"):
            open_clip(empty)
        single = save(tmp_path / "x.png", Image.fromarray(COLOURS))
        with pytest.raises(InputError, match="is a single image"):
            open_clip(single)

    def test_mixed_sizes_name_the_odd_one(self, tmp_path: Path) -> None:
        for name in "abd":
            save(tmp_path / f"{name}.png", Image.fromarray(COLOURS))
        save(tmp_path / "c.png", Image.fromarray(COLOURS[:2]))
        with pytest.raises(InputError, match=r"c\.png is 6×2 pixels, .* are 6×4"):
            open_clip(tmp_path)

    def test_same_stem_twice_is_refused(self, tmp_path: Path) -> None:
        for suffix in ("png", "bmp"):
            save(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS))
        with pytest.raises(InputError, match=r"several images called 'a' \(a\.bmp, a\.png\)"):
            open_clip(tmp_path)

    def test_broken_header_and_broken_body(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", Image.fromarray(COLOURS))
        whole = save(tmp_path / "b.png", Image.fromarray(COLOURS)).read_bytes()
        (tmp_path / "b.png").write_bytes(whole[: len(whole) * 2 // 3])
        clip = open_clip(tmp_path)
        assert clip.read(0).shape == (4, 6, 3)
        with pytest.raises(InputError, match=r"cannot read the image .*b\.png"):
            clip.read(1)
        (tmp_path / "b.png").write_bytes(b"hello")
        with pytest.raises(InputError, match=r"cannot read the image .*b\.png: it is not an image"):
            open_clip(tmp_path)

    def test_memory_does_not_grow_with_the_clip(self, tmp_path: Path) -> None:
        frame = np.zeros((200, 300, 3), dtype=np.uint8)
        for index in range(60):
            save(tmp_path / f"{index}.bmp", Image.fromarray(frame))
        clip = open_clip(tmp_path)
        tracemalloc.start()
        for _ in clip:
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * frame.nbytes


class TestDeepFrames:
    @pytest.fixture
    def levels(self) -> np.ndarray:
        """Frames of 12 bits; the second is darker."""
        bright = np.linspace(0, 4095, 24).reshape(4, 6)
        return np.stack([bright, bright / 2, bright]).astype(np.uint16)

    def test_twelve_bits_are_stretched_for_all_frames_alike(
        self, tmp_path: Path, levels: np.ndarray, caplog: pytest.LogCaptureFixture
    ) -> None:
        for index, frame in enumerate(levels):
            save(tmp_path / f"{index}.png", Image.fromarray(frame))
        clip = open_clip(tmp_path)
        for index, frame in enumerate(levels):
            assert np.array_equal(clip[index][..., 0], np.round(frame * (255 / 4095)))
        open_clip(tmp_path)
        told = [each.message for each in caplog.records]
        assert told == [
            f"the 16-bit images of {tmp_path} use the values from 0 to 4095 only; these are stretched to 8 "
            "bits, for all frames alike"
        ]

    @pytest.mark.parametrize("span", [2040, 51000])
    def test_values_of_signed_images_are_those_below_zero_too(self, tmp_path: Path, span: int) -> None:
        """A CT has -1024 and less in its air."""
        frame = np.linspace(-1024, 1016, 24).reshape(4, 6) if span == 2040 else np.linspace(-25500, 25500, 24)
        frame = frame.reshape(4, 6).round().astype(np.int16)
        for index in range(2):
            cv2.imwrite(str(tmp_path / f"{index}.tif"), frame)
        expected = np.round((frame + 1024.0) / 8) if span == 2040 else (frame.astype(int) + 32768) >> 8
        assert np.array_equal(open_clip(tmp_path)[1][..., 2], expected)

    def test_a_dark_frame_of_a_wide_clip_stays_dark(self, tmp_path: Path, levels: np.ndarray) -> None:
        for index, frame in enumerate([levels[0], levels[0] * 16]):
            save(tmp_path / f"{index}.png", Image.fromarray(frame))
        clip = open_clip(tmp_path)
        assert [int(frame.max()) for frame in clip] == [15, 255]


class TestFilesLeftOut:
    def test_files_that_look_like_frames_are_named(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("0.jpg", "1.jfif", "2.jpe", "3.JPG"):
            save(tmp_path / name, Image.fromarray(COLOURS), format="JPEG")
        save(tmp_path / "4", Image.fromarray(COLOURS), format="PNG")
        (tmp_path / "5.nef").write_bytes(b"raw")
        (tmp_path / "notes.txt").write_text("not an image")
        (tmp_path / "clicks.json").write_text("{}")
        assert open_clip(tmp_path).names == ("0", "1", "2", "3")
        open_clip(tmp_path)
        assert [each.message for each in caplog.records] == [
            f"left out of {tmp_path}: 4, 5.nef (2 in all); such images are not read, save them as PNG or JPEG"
        ]

    @pytest.mark.parametrize(
        ("name", "kind"), [("0.pgm", "PPM"), ("0.PNM", "PPM"), ("0.tga", "TGA"), ("0.jp2", "JPEG2000")]
    )
    def test_these_are_read(self, tmp_path: Path, name: str, kind: str) -> None:
        grey = np.repeat(COLOURS[..., :1], 3, axis=2)
        save(tmp_path / name, Image.fromarray(grey[..., 0] if kind == "PPM" else grey), format=kind)
        assert np.array_equal(open_clip(tmp_path)[0], grey)

    def test_depth_beside_the_frames_is_no_frame(self, tmp_path: Path, caplog) -> None:
        save(tmp_path / "1.jpg", Image.fromarray(COLOURS))
        save(tmp_path / "1_depth.pgm", Image.fromarray(COLOURS[..., 0]))
        assert open_clip(tmp_path).names == ("1",)
        assert "1_depth.pgm (1 in all); such images are frames only where" in caplog.text

    def test_a_folder_of_unread_images_names_one(self, tmp_path: Path) -> None:
        (tmp_path / "1.nef").write_bytes(b"raw")
        with pytest.raises(InputError, match=r"images of kinds that are not read, like 1\.nef"):
            open_clip(tmp_path)


FRAMES = np.arange(6 * 4 * 5 * 3, dtype=np.uint8).reshape(6, 4, 5, 3)


@pytest.fixture(params=["folder", "array", "list"])
def six_frames(request: pytest.FixtureRequest, tmp_path: Path) -> Clip:
    if request.param != "folder":
        return open_clip(FRAMES if request.param == "array" else list(FRAMES))
    for index, frame in enumerate(FRAMES):
        save(tmp_path / f"{index:05d}.png", Image.fromarray(frame))
    return open_clip(str(tmp_path))


class TestSequence:
    def test_a_clip_is_read_like_a_list(self, six_frames: Clip) -> None:
        assert len(six_frames) == 6
        for index in (0, 5, -1, -6, np.int64(3)):
            assert np.array_equal(six_frames[index], FRAMES[index])
        assert all(np.array_equal(one, other) for one, other in zip(six_frames, FRAMES, strict=True))
        assert np.array_equal(next(reversed(six_frames)), FRAMES[-1])
        assert (six_frames.names[0], six_frames.names[-1]) == ("00000", "00005")
        assert six_frames.size_hw == (4, 5)

    def test_a_clip_shows_where_it_is_and_how_large(self, tiny_clip: Path, tmp_path: Path) -> None:
        first, *others = map(Image.fromarray, FRAMES)
        first.save(tmp_path / "a.tif", save_all=True, append_images=others)
        first.save(tmp_path / "a.png", save_all=True, append_images=others, duration=40)
        assert repr(open_clip(tiny_clip)) == f"<FolderClip {tiny_clip}: 6 frames of 64×48 pixels>"
        assert repr(open_clip(tiny_clip)[2:3]) == f"<PartOfClip {tiny_clip}: 1 frame of 64×48 pixels>"
        assert repr(open_clip(FRAMES)) == "<ArrayClip <frames in memory>: 6 frames of 5×4 pixels>"
        for name, kind in (("a.tif", "StackClip"), ("a.png", "VideoClip")):
            with open_clip(tmp_path / name) as clip:
                assert repr(clip) == f"<{kind} {tmp_path / name}: 6 frames of 5×4 pixels>"

    def test_frames_in_memory_cannot_be_changed_through_the_clip(self) -> None:
        mine = FRAMES.copy()
        with open_clip(mine) as clip, pytest.raises(ValueError, match="read-only"):
            clip[0][:] = 0
        mine[0] = 9
        assert (clip[0] == 9).all()

    @pytest.mark.parametrize("index", [6, -7, 100])
    def test_there_are_no_other_frames(self, six_frames: Clip, index: int) -> None:
        with pytest.raises(IndexError, match=f"frame {index} of .* has 6 frames"):
            six_frames[index]
        with pytest.raises(TypeError):
            six_frames["00000"]

    @pytest.mark.parametrize("part", [slice(2, 4), slice(None, None, 2), slice(-3, None)])
    def test_a_slice_is_a_clip(self, six_frames: Clip, part: slice) -> None:
        clip = six_frames[part]
        assert clip.names == six_frames.names[part]
        assert np.array_equal(np.stack(list(clip)), FRAMES[part])
        assert np.array_equal(clip[1:][0], FRAMES[part][1])
        assert clip.identity != six_frames.identity
        assert clip.index_of(clip.names[1]) == 1

    def test_an_empty_slice_is_refused(self, six_frames: Clip) -> None:
        with pytest.raises(IndexError, match="no frames in this slice"):
            six_frames[4:4]

    def test_an_open_clip_opens_as_itself(self, six_frames: Clip) -> None:
        assert open_clip(six_frames) is six_frames

    @pytest.mark.parametrize(
        ("frames", "message"),
        [
            ([], "expected at least one frame, got none"),
            (FRAMES[:0], "expected at least one frame"),
            (FRAMES[0], r"expected frames as an N×H×W×3 array .* got shape \(4, 5, 3\)"),
            (FRAMES / 255, "expected frame 0 as H×W×3 uint8, .* got float64"),
            ([FRAMES[0], FRAMES[1][..., 0]], r"expected frame 1 as H×W×3 uint8.* of shape \(4, 5\)"),
            ([FRAMES[0], FRAMES[1][1:]], "frame 1 is 5×3 pixels, the first is 5×4; all frames"),
            ([1, 2], "expected frame 0 as a NumPy array"),
            (7, "expected a clip as a folder, a video file, or a sequence of frames, got int"),
            (iter(FRAMES), "expected a clip as .*, got "),
        ],
    )
    def test_unusable_frames_are_refused(self, frames: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            open_clip(frames)


def test_a_name_that_is_not_utf8_is_refused(tiny_clip: Path) -> None:
    (tiny_clip / "00003.png").rename(tiny_clip / "\udcff.png")
    with pytest.raises(InputError, match=r"the name of '.*\\udcff\.png' is not in UTF-8; rename it"):
        open_clip(tiny_clip)
