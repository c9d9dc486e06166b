"""The Python API as a user meets it: `import dextr_vos as dv`."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_run import write_keyframes

import dextr_vos as dv
from dextr_vos.masks import read_labels

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = [f"{index:05d}" for index in range(6)]
SMALL = ["longest_side=64"]  # of the crops


def imported(code: str) -> set[str]:
    """Modules that are loaded after some code has run in a fresh interpreter."""
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_import_loads_nothing_else():
    loaded = imported("import dextr_vos")
    assert not loaded & {"torch", "numpy", "cv2", "scipy", "pydantic", "av"}
    assert {name for name in loaded if name.startswith("dextr_vos")} == {"dextr_vos"}


def test_clips_and_labels_need_no_torch():
    assert "torch" not in imported("import dextr_vos as dv; dv.open_clip; dv.read_labels; dv.write_labels")


@pytest.mark.parametrize("name", sorted(dv.__all__))
def test_every_public_name_is_there_and_documented(name):
    assert name in dir(dv)
    assert len(getattr(dv, name).__doc__) > 20


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'dextr_vos' has no attribute 'segment'"):
        dv.segment  # noqa: B018


@pytest.mark.parametrize("steps", [2])
def test_propagate_gives_what_the_run_gives_to_the_bit(tiny_clip, tmp_path, steps):
    keyframes = write_keyframes(tmp_path / "keyframes", 0, 3)
    from dextr_vos.pipeline import PropagationOptions, train_propagation

    clip = dv.open_clip(tiny_clip)
    options = PropagationOptions(device="cpu", max_steps=steps, settings=SMALL)
    record = train_propagation(clip, keyframes, tmp_path / "run", options)
    assert record.parent is not None  # the shipped one, as from the command
    labels = {0: tiny_mask(0), 3: tiny_mask(3)}
    frames = list(dv.propagate(clip, labels, device="cpu", max_steps=steps, settings=SMALL))
    assert [frame.index for frame in frames] == list(range(6))
    for frame in frames:
        assert np.array_equal(
            frame.labels, read_labels(tmp_path / "run" / "masks" / f"{NAMES[frame.index]}.png")
        )
        assert frame.probabilities.shape == (1, 48, 64)
        assert frame.probabilities.dtype == np.float32
        assert 0 <= frame.probabilities.min() <= frame.probabilities.max() <= 1
        assert frame.is_keyframe == (frame.index in labels)
        assert set(frame.confidence) == {1}


def test_propagate_takes_frames_in_memory_and_bool_masks_and_reports():
    frames = np.stack([tiny_frame(index) for index in range(4)])
    reports = []
    results = dv.propagate(
        frames,
        {-1: tiny_mask(3) == 1},
        device="cpu",
        max_steps=1,
        settings=SMALL,
        on_progress=lambda phase, done, total: reports.append((phase, done, total)),
    )
    assert [frame.index for frame in results] == [0, 1, 2, 3]
    assert reports[0] == ("fine-tuning", 1, 1)
    assert reports[-1] == ("segmenting", 4, 4)


def test_masks_are_copied_at_the_call():
    frames = np.stack([tiny_frame(index) for index in range(2)])
    labels = tiny_mask(0).astype(np.int64)
    results = dv.propagate(frames, {0: labels}, device="cpu", max_steps=1, settings=SMALL)
    labels[:] = 0
    assert np.array_equal(next(results).labels, tiny_mask(0))


def test_propagate_streams(tiny_clip):
    read = []
    clip = dv.open_clip(tiny_clip)
    original = clip.read
    clip.read = lambda index: read.append(index) or original(index)  # type: ignore[method-assign]
    stream = dv.propagate(clip, {0: tiny_mask(0)}, device="cpu", max_steps=1, settings=SMALL)
    assert next(stream).index == next(stream).index - 1 == 0
    assert max(read) <= 2  # the end of the clip has not been read yet
    stream.close()


def two_objects():
    labels = tiny_mask(0)
    labels[40:46, 50:60] = 7
    return labels


def test_objects_keep_their_ids(tiny_clip):
    clip = dv.open_clip(tiny_clip)
    results = list(dv.propagate(clip, {0: two_objects()}, device="cpu", max_steps=1, settings=SMALL))
    assert all(frame.object_ids == (1, 7) for frame in results)
    assert all(set(np.unique(frame.labels)) <= {0, 1, 7} for frame in results)
    assert results[3].probabilities.shape == (2, 48, 64)


@pytest.mark.parametrize(
    ("keyframes", "message"),
    [
        ({}, "at least one keyframe"),
        ({9: tiny_mask(0)}, "keyframe indices from 0 to 5, or from -6 to -1, got 9"),
        ({0.5: tiny_mask(0)}, "keyframe indices from 0 to 5, or from -6 to -1, got 0.5"),
        ({"0": tiny_mask(0), 1: tiny_mask(1)}, "keyframe indices from 0 to 5, or from -6 to -1, got '0'"),
        ([tiny_mask(0)], r"keyframes as {frame index: H×W labels}, got list"),
        (
            {0: tiny_mask(0).astype(float)},
            "mask of frame 0 as H×W integers from 0 to 255 or bool, got float64",
        ),
        ({0: tiny_mask(0).astype(int) - 1}, "mask of frame 0 with values from 0 to 255, got -1 to 0"),
        ({0: [[0, 1], [1]]}, "got rows of several lengths"),
        ({0: tiny_mask(0)[:-1]}, "with the frame's shape"),
        ({0: tiny_mask(0)[..., None]}, r"of shape \(48, 64, 1\)"),
        ({0: tiny_mask(0) * 0}, "empty"),
        ({5: tiny_mask(0), -1: tiny_mask(0)}, "one mask per frame"),
    ],
)
def test_bad_keyframes_are_one_sentence(tiny_clip, keyframes, message):
    with pytest.raises(dv.InputError, match=message):
        dv.propagate(dv.open_clip(tiny_clip), keyframes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "osvos"}, "unknown model 'osvos'; expected one of lite, paper"),
        ({"networks": 1}, "unknown option 'networks' of propagate; expected"),
        ({"model": "paper"}, "the model paper needs a parent, a published .pth, or 'none' to start from"),
        ({"model": None}, "expected model as a name or a Model, got None"),
        ({"parent": 3}, "expected parent as a path, 'none' or None, got 3"),
        ({"device": 0}, "expected device as auto, cpu"),
        ({"seed": -1}, "expected seed as an integer from 0 to 4294967295, got -1"),
        ({"seed": 1.0}, "expected seed as an integer"),
        ({"max_steps": 0}, "expected max_steps as an integer from 1 or None, got 0"),
        ({"max_steps": True}, "expected max_steps as an integer"),
        ({"budget_s": 0}, "expected budget_s as seconds above 0 or None, got 0"),
        ({"budget_s": float("nan")}, "expected budget_s as seconds above 0"),
        ({"budget_s": float("inf")}, "expected budget_s as seconds above 0"),
        ({"budget_s": "60"}, "expected budget_s as seconds above 0"),
        ({"clicked": 1}, "expected clicked as True, False or None"),
        ({"settings": "batch=1"}, "expected settings as a sequence of KEY=VALUE, got 'batch=1'"),
        ({"settings": [3]}, "expected settings as a sequence of KEY=VALUE"),
        ({"device": "toaster"}, "unknown device"),
        ({"parent": "nowhere.pth"}, "there is no checkpoint nowhere.pth"),
    ],
)
def test_bad_options_are_one_sentence(tiny_clip, options, message):
    with pytest.raises(dv.InputError, match=message):
        dv.propagate(dv.open_clip(tiny_clip), {0: tiny_mask(0)}, **options)


def test_frames_that_are_too_small_are_refused_at_the_call():
    with pytest.raises(dv.InputError, match="4×48 pixels, expected at least"):
        dv.propagate(np.zeros((2, 48, 4, 3), np.uint8), {0: np.ones((48, 4), bool)})


@pytest.mark.slow
def test_propagate_equals_the_command_on_a_real_clip(davis_root, tmp_path):
    """Masks of the API are those of the command, to the bit on one thread."""
    from click.testing import CliRunner

    from dextr_vos.cli.main import main

    frames, truth = (davis_root / kind / "480p" / "dog" for kind in ("JPEGImages", "Annotations"))
    clip_folder, masks = tmp_path / "dog", tmp_path / "masks"
    clip_folder.mkdir(), masks.mkdir()
    for name in NAMES[:3]:
        Image.open(frames / f"{name}.jpg").resize((427, 240)).save(clip_folder / f"{name}.jpg")
    keyframe = np.ascontiguousarray(dv.read_labels(truth / "00000.png")[::2, ::2])
    dv.write_labels(masks / "00000.png", keyframe)
    arguments = ["propagate", str(clip_folder), "--keyframes", str(masks), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(main, [*arguments, "--device", "cpu", "--max-steps", "2"])
    assert done.exit_code == 0, done.output
    results = list(dv.propagate(dv.open_clip(clip_folder), {0: keyframe}, device="cpu", max_steps=2))
    assert len(results) == 3
    for frame in results:
        expected = read_labels(tmp_path / "run" / "masks" / f"{NAMES[frame.index]}.png")
        assert expected.any()
        assert np.array_equal(frame.labels, expected)
