import json

import numpy as np
import pytest

from dextr_vos.annotation.clicks import read_clicks
from dextr_vos.clip import open_clip
from dextr_vos.datasets.davis import Davis
from dextr_vos.datasets.synthetic import SyntheticClip, write_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import read_labels

SIZE = (90, 160)
LENGTH = 40


@pytest.fixture(scope="module")
def frames():
    scene = SyntheticClip.make(SIZE, LENGTH, seed=0)
    return [scene.render(index) for index in range(LENGTH)]


def test_frames_and_masks_have_the_size_and_differ(frames):
    for image, mask in frames:
        assert (image.shape, image.dtype) == ((*SIZE, 3), np.uint8)
        assert (mask.shape, mask.dtype) == (SIZE, np.bool_)
    assert len({image.tobytes() for image, _ in frames}) == LENGTH
    assert len({mask.tobytes() for _, mask in frames}) == LENGTH


@pytest.mark.parametrize("seed", range(3))
def test_masks_match_what_is_drawn(seed):
    """The object is violet to blue, the ground and the pole are not: colour alone finds nearly all of it."""
    scene = SyntheticClip.make(SIZE, LENGTH, seed)
    for index in range(0, LENGTH, 3):
        image, mask = scene.render(index)
        red, green, blue = np.moveaxis(image.astype(float), 2, 0)
        blueness = blue - (red + green) / 2
        between = (blueness[mask].mean() + blueness[~mask].mean()) / 2
        assert ((blueness > between) == mask).mean() > 0.88


def test_the_object_is_hidden_in_part_once(frames):
    areas = np.array([mask.sum() for _, mask in frames], dtype=float)
    assert areas.min() > 0
    left, right = round(0.56 * SIZE[1]), round(0.62 * SIZE[1])
    assert not any(mask[:, left:right].any() for _, mask in frames)  # it passes behind the pole
    cut = [mask[:, :left].any() and mask[:, right:].any() for _, mask in frames]
    runs = np.flatnonzero(np.diff([0, *cut, 0]))
    assert len(runs) == 2  # split in two during one stretch of time
    hidden = areas[runs[0] : runs[1]].min()
    assert hidden < 0.8 * areas[: runs[0]].max()
    assert hidden < areas[runs[1] :].max()
    assert not cut[0]
    assert not cut[-1]


def test_it_moves_and_the_light_changes(frames):
    columns = [np.nonzero(mask)[1].mean() for _, mask in frames]
    assert columns[-1] - columns[0] > 0.4 * SIZE[1]
    light = np.array([image.mean() for image, _ in frames])
    assert light.max() > 1.3 * light.min()
    assert abs(np.diff(light)).max() < 0.1 * light.mean()  # it swells, it does not flicker


def test_everything_follows_from_the_seed(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_clip(tmp_path / name, "top", 3, (36, 64), seed)

    def content(name):
        folder = tmp_path / name
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }

    assert content("a") == content("b")
    assert content("a").keys() == content("c").keys()
    assert content("a") != content("c")


def test_a_written_clip_is_ready_for_every_stage(tmp_path):
    told = []
    write_clip(tmp_path, "top", 5, (90, 160), 0, lambda *frame: told.append(frame))
    assert told == [(number, 5) for number in range(1, 6)]
    clip = open_clip(tmp_path / "JPEGImages" / "480p" / "top")
    assert (len(clip), clip.size_hw) == (5, (90, 160))
    assert Davis(tmp_path).clips("val", 2016) == ["top"]
    annotations = read_clicks(tmp_path / "top-clicks.json", clip)
    assert list(annotations.keyframes) == ["00000", "00001", "00004"]
    for name, keyframe in annotations.keyframes.items():
        labels = read_labels(tmp_path / "Annotations" / "480p" / "top" / f"{name}.png", clip.size_hw)
        assert set(np.unique(labels)) == {0, 1}
        assert all(labels[y, x] == 1 for x, y in keyframe.objects[1].points_xy())


def test_an_older_rendering_is_replaced_and_another_one_kept(tmp_path):
    write_clip(tmp_path, "other", 2, (32, 48))
    write_clip(tmp_path, "top", 6, (32, 48))
    write_clip(tmp_path, "top", 3, (36, 64))
    assert len(open_clip(tmp_path / "JPEGImages" / "480p" / "top")) == 3
    assert len(list((tmp_path / "Annotations" / "480p" / "top").iterdir())) == 3
    assert Davis(tmp_path).clips("val", 2016) == ["other", "top"]


def test_real_clips_are_never_overwritten(tmp_path):
    frames = tmp_path / "a" / "JPEGImages" / "480p" / "dog"
    frames.mkdir(parents=True)
    (frames / "00000.jpg").write_bytes(b"a real frame")
    listed = tmp_path / "b" / "ImageSets" / "2016" / "val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("/JPEGImages/480p/dog/00000.jpg /Annotations/480p/dog/00000.png\n")
    before = listed.read_text()
    for root in ("a", "b"):
        with pytest.raises(InputError, match="holds clips that were not rendered"):
            write_clip(tmp_path / root, "dog", 2, (32, 48))
    assert (frames / "00000.jpg").read_bytes() == b"a real frame"
    assert listed.read_text() == before


@pytest.mark.parametrize("size_hw", [(32, 1000), (1000, 32), (33, 47)])
@pytest.mark.parametrize("length", [2, 4])
def test_odd_shapes_and_lengths(tmp_path, size_hw, length):
    write_clip(tmp_path, "top", length, size_hw)
    assert open_clip(tmp_path / "JPEGImages" / "480p" / "top").size_hw == size_hw
    clicks = json.loads((tmp_path / "top-clicks.json").read_text())
    assert "00000" in clicks
