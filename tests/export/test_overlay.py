import av
import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from PIL import Image

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.export.overlay import overlay, write_contact_sheet, write_overlay_video
from dextr_vos.masks import write_labels
from dextr_vos.workspace import ResultMasks


def make_clip(root, count, size_hw=(48, 64)):
    """A clip with masks in a run's folder."""
    for index in range(count):
        frame = np.zeros((*size_hw, 3), dtype=np.uint8)
        rows, columns = min(48, size_hw[0]), min(64, size_hw[1])
        frame[:rows, :columns] = tiny_frame(index % 6)[:rows, :columns]
        labels = np.zeros(size_hw, dtype=np.uint8)
        labels[:rows, :columns] = tiny_mask(index % 6)[:rows, :columns]
        (root / "clip").mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(root / "clip" / f"{index:05d}.png")
        write_labels(root / "run" / "masks" / f"{index:05d}.png", labels)
    clip = open_clip(root / "clip")
    return clip, ResultMasks.find(root / "run")


def probe(path):
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
        return (
            stream.codec_context.name,
            stream.codec_context.pix_fmt,
            float(stream.average_rate),
            len(video.streams),
            frames,
        )


@pytest.mark.parametrize(
    ("size_hw", "expected"),
    [((48, 64), (48, 64)), ((49, 65), (50, 66)), ((48, 65), (48, 66)), ((17, 33), (18, 34))],
)
@pytest.mark.parametrize("count", [1, 7])
def test_video_is_one_that_browsers_play(tmp_path, size_hw, expected, count):
    clip, masks = make_clip(tmp_path, count, size_hw)
    told = []
    path = tmp_path / "out" / "overlay.mp4"
    write_overlay_video(path, clip, masks, on_frame=lambda *frame: told.append(frame))
    codec, pixels, fps, streams, frames = probe(path)
    assert (codec, pixels, streams) == ("h264", "yuv420p", 1)
    assert fps == pytest.approx(24, rel=0.01)
    assert len(frames) == count
    assert frames[0].shape == (*expected, 3)
    assert told == [(number, count) for number in range(1, count + 1)]
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it plays while it loads
    assert [file.name for file in path.parent.iterdir()] == ["overlay.mp4"]


@pytest.mark.parametrize("fps", [0.25, 12.5, 30000 / 1001, 120.0])
def test_video_runs_at_the_clips_rate(tmp_path, fps):
    clip, masks = make_clip(tmp_path, 3)
    clip.fps = fps
    write_overlay_video(tmp_path / "overlay.mp4", clip, masks)
    assert probe(tmp_path / "overlay.mp4")[2] == pytest.approx(fps, rel=1e-3)


def test_video_shows_the_frames_in_order_with_tinted_objects(tmp_path):
    clip, masks = make_clip(tmp_path, 6)
    write_overlay_video(tmp_path / "overlay.mp4", clip, masks)
    expected = np.stack([overlay(clip.read(index), masks.read(clip, index)) for index in range(6)])
    for index, shown in enumerate(probe(tmp_path / "overlay.mp4")[4]):
        differences = np.abs(expected.astype(int) - shown)[:, :30].mean((1, 2, 3))  # the caption is below
        assert differences.argmin() == index
        red = shown[14:30, ..., 0].astype(int) - shown[14:30, ..., 1]
        inside = tiny_mask(index)[14:30] == 1
        assert red[inside].mean() > red[~inside].mean() + 40


def test_overlay_tints_objects_and_nothing_else():
    image = np.full((40, 60, 3), 100, dtype=np.uint8)
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[5:15, 5:15], labels[20:30, 20:30], labels[:, 50:] = 1, 200, 255
    given = image.copy()
    shown = overlay(image, labels)
    assert np.array_equal(image, given)
    assert (shown[:, 50:] == 100).all()
    assert (shown[32:, :50] == 100).all()
    assert len({tuple(shown[10, 10]), tuple(shown[25, 25]), (100, 100, 100)}) == 3
    clear = overlay(image, labels, opacity=0)
    assert (clear[8:12, 8:12] == 100).all()
    assert (overlay(image, labels, opacity=1)[10, 10] == (255, 60, 60)).all()
    assert np.array_equal(overlay(image, 0 * labels), image)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (6, 4, 2), (100, 4, 4)])
def test_contact_sheet_spans_the_clip(tmp_path, count, columns, rows):
    clip, masks = make_clip(tmp_path, count)
    write_contact_sheet(tmp_path / "sheet.png", clip, masks)
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.array(picture)
    assert sheet.shape == (rows * (48 + 8) + 8, columns * (64 + 8) + 8, 3)
    for row in range(rows):  # a frame in every place, but for the rest of the last row
        for column in range(columns):
            tile = sheet[8 + row * 56 : 56 + row * 56, 8 + column * 72 : 72 + column * 72]
            assert (tile.max() > 100) == (row * columns + column < count)
    first = overlay(clip.read(0), masks.read(clip, 0))
    assert np.array_equal(sheet[36:56, 8:72], first[28:])  # the caption is above


def test_contact_sheet_begins_with_the_first_and_ends_with_the_last_frame(tmp_path, monkeypatch):
    clip, masks = make_clip(tmp_path, 100)
    read = []
    original = clip.read
    monkeypatch.setattr(clip, "read", lambda index: read.append(index) or original(index))
    write_contact_sheet(tmp_path / "sheet.jpg", clip, masks)
    assert (len(read), read[0], read[-1]) == (16, 0, 99)
    assert len(set(read)) == 16
    assert max(np.diff(read)) - min(np.diff(read)) <= 1


@pytest.mark.parametrize("size_hw", [(9, 300), (300, 9), (1, 1)])
def test_tiny_and_narrow_frames_do_not_fail(tmp_path, size_hw):
    clip, masks = make_clip(tmp_path, 2, size_hw)
    write_contact_sheet(tmp_path / "sheet.png", clip, masks)
    write_overlay_video(tmp_path / "overlay.mp4", clip, masks)
    assert len(probe(tmp_path / "overlay.mp4")[4]) == 2


def test_other_suffixes_and_sizes_are_refused_and_leave_nothing(tmp_path):
    clip, masks = make_clip(tmp_path, 3)
    with pytest.raises(InputError, match=r"must end in \.mp4"):
        write_overlay_video(tmp_path / "overlay.avi", clip, masks)
    with pytest.raises(InputError, match=r"must end in \.jpg, \.png"):
        write_contact_sheet(tmp_path / "sheet.pdf", clip, masks)
    write_labels(tmp_path / "run" / "masks" / "00002.png", np.zeros((20, 20), dtype=np.uint8))
    with pytest.raises(InputError, match="is 20×20 pixels, its frame is 64×48"):
        write_overlay_video(tmp_path / "overlay.mp4", clip, masks)
    with pytest.raises(InputError, match="is 20×20 pixels, its frame is 64×48"):
        write_contact_sheet(tmp_path / "sheet.jpg", clip, masks)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "run"]
