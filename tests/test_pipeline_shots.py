"""A clip of two shots: an object in front of one background, then another in front of another."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_run import bytes_of, train

from dextr_vos.cli.main import main
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.run_files import frame_confidence, frame_state, read_confidence

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")
NAMES = [f"{index:05d}" for index in range(12)]


def frame(index):
    """Six frames of a bright box before dark blue, then six of a dark one before coarse yellow."""
    shot = index // 6
    rng = np.random.default_rng(shot)
    coarse = rng.integers(0, 100, (6, 8, 3), dtype=np.uint8)
    coarse[..., 2 if shot == 0 else 0] += 60 + 90 * shot
    coarse[..., 1] += 150 * shot
    image = cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC)
    image[mask(index) == 1] = (230, 220, 90) if shot == 0 else (20, 30, 60)
    return image


def mask(index):
    labels = np.zeros((48, 64), np.uint8)
    left = 6 + 4 * (index % 6)
    labels[14:36, left : left + 20] = 1
    return labels


@pytest.fixture
def clip(tmp_path):
    (tmp_path / "clip").mkdir()
    for index, name in enumerate(NAMES):
        Image.fromarray(frame(index)).save(tmp_path / "clip" / f"{name}.png")
    return tmp_path / "clip"


@pytest.fixture
def keyframes(tmp_path):
    write_labels(tmp_path / "keyframes" / "00000.png", mask(0))
    return tmp_path / "keyframes"


def states(out):
    return [frame_state(frame_confidence(each)) for each in read_confidence(out / "confidence.json").values()]


def test_a_cut_is_recorded_and_the_shot_without_a_keyframe_is_lost(clip, keyframes, out):
    record = train(clip, keyframes, out)
    assert record.cuts == ("00006",)
    assert states(out)[6:] == ["lost"] * 6
    assert not any(read_labels(out / "masks" / f"{name}.png").any() for name in NAMES[6:])
    assert any(read_labels(out / "masks" / f"{name}.png").any() for name in NAMES[1:6])
    told = CliRunner().invoke(main, ["suggest", str(out)])
    assert told.stdout.strip() in NAMES[6:]
    assert told.stderr == "  lost: no frame of this shot is annotated\n"


def test_a_keyframe_in_the_other_shot_leaves_the_masks_of_the_first_alone(clip, keyframes, out):
    train(clip, keyframes, out)
    before = bytes_of(out / "masks")
    write_labels(keyframes / "00008.png", mask(8))
    record = train(clip, keyframes, out)
    assert record.continued_from is not None
    assert [(each.first, each.last, each.before, each.after) for each in record.spans] == [
        ("00001", "00005", "00000", None),
        ("00006", "00007", None, "00008"),
        ("00009", "00011", "00008", None),
    ]
    after = bytes_of(out / "masks")
    assert all(after[f"{name}.png"] == before[f"{name}.png"] for name in NAMES[:6])
    assert any(read_labels(out / "masks" / f"{name}.png").any() for name in NAMES[9:])


def test_across_cuts_tracking_goes_on(clip, keyframes, out):
    record = train(clip, keyframes, out, settings=["tracking.across_cuts=true"])
    assert record.cuts == ("00006",)
    assert [(each.first, each.last) for each in record.spans] == [("00001", "00011")]


def test_the_command_tells_where_the_cuts_are(clip, keyframes, out):
    given = ["propagate", str(clip), "--keyframes", str(keyframes), "--out", str(out), "--device", "cpu"]
    given += ["--parent", "none", "--max-steps", "1"]
    advice = "; objects are not tracked across a cut, annotate a frame of each shot"
    assert f"1 cut, before frame 00006{advice}\n" in CliRunner().invoke(main, given).stdout
    write_labels(keyframes / "00008.png", mask(8))
    assert "1 cut, before frame 00006\n" in CliRunner().invoke(main, given).stdout


def test_an_object_that_is_not_found_though_the_keyframes_show_it_is_lost(clip, keyframes, out):
    write_labels(keyframes / "00003.png", mask(3))
    # one step from random weights finds nothing
    train(clip, keyframes, out, max_steps=1, settings=["tracking.across_cuts=true"])
    scores = read_confidence(out / "confidence.json")
    for name in NAMES[1:3]:
        found = read_labels(out / "masks" / f"{name}.png").any()
        assert found or scores[name] == {1: 0.0}
