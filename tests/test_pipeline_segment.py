from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_run import (
    CPU,
    TINY_LITE,
    TINY_PAPER,
    bytes_of,
    other_clip,
    stop_after,
    train,
    write_keyframes,
)

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.propagation.segment import segment_clip
from dextr_vos.propagation.settings import Callbacks
from dextr_vos.propagation.tracker import Tracker
from dextr_vos.propagation.trained_network import load_network

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")
NAMES = [f"{index:05d}.png" for index in range(6)]


@pytest.fixture
def keyframes(tmp_path):
    return write_keyframes(tmp_path / "keyframes", 0, 3, white=True)


def refuse(*_):
    pytest.fail("this was done already")


def files_of(folder):
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_osvos_gives_what_the_run_gave(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out, TINY_PAPER)
    segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "applied", CPU)
    masks = bytes_of(out / "masks")
    applied = bytes_of(tmp_path / "applied")
    assert files_of(tmp_path / "applied") == NAMES
    assert all(applied[name] == masks[name] for name in set(NAMES) - {"00000.png", "00003.png"})


def test_lite_finds_the_object_by_what_it_remembers(tiny_clip, keyframes, out, tmp_path):
    """No keyframe is given: neither where the object is in the first frame nor where it goes."""
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, batch=2, max_steps=40, cooldown=10))
    train(tiny_clip, keyframes, out, model)
    segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "applied", CPU)
    for index in range(6):
        found, truth = read_labels(tmp_path / "applied" / NAMES[index]) == 1, tiny_mask(index) == 1
        assert (found & truth).sum() / (found | truth).sum() > 0.5, index


def test_lite_goes_from_frame_to_frame(tiny_clip, keyframes, out, tmp_path, monkeypatch):
    train(tiny_clip, keyframes, out)
    befores, results = [], []
    view, apply = Tracker.features, Tracker.segment

    def viewed(self, before, *rest):
        befores.append(None if before is None else before.probs)
        return view(self, before, *rest)

    def applied(*given):
        results.append(apply(*given))
        return results[-1]

    monkeypatch.setattr(Tracker, "features", viewed)
    monkeypatch.setattr(Tracker, "segment", applied)
    segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "applied", CPU)
    assert len(results) == 6
    assert befores[0] is None  # nobody said where it is
    assert all(np.array_equal(before, found) for before, found in zip(befores[1:], results, strict=False))


@pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=lambda model: model.name)
def test_segment_takes_frames_of_any_size_and_gives_the_same_again(
    tiny_clip, keyframes, out, tmp_path, model
):
    train(tiny_clip, keyframes, out, model)
    larger = open_clip(other_clip(tmp_path / "larger", 3, (97, 71)))
    for name in ("first", "again"):
        segment_clip(larger, load_network(out), tmp_path / name, CPU)
    assert read_labels(tmp_path / "first" / "00001.png").shape == (71, 97)
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "again")


def test_segment_keeps_the_numbers_of_objects(tiny_clip, out, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in (0, 3):
        labels = tiny_mask(index)
        labels[24:] *= 7
        write_labels(folder / NAMES[index], labels)
    train(tiny_clip, folder, out)
    segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "applied", CPU)
    assert set(np.unique([read_labels(tmp_path / "applied" / name) for name in NAMES])) <= {0, 1, 7}


def test_segment_never_overwrites_frames(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out)
    before = bytes_of(tiny_clip)
    (tmp_path / "link").symlink_to(tiny_clip)
    (tmp_path / "file").write_text("mine")
    for folder in (tiny_clip, tmp_path / "run" / ".." / "tiny", tmp_path / "link"):
        with pytest.raises(InputError, match="is the folder of the frames"):
            segment_clip(open_clip(tiny_clip), load_network(out), folder, CPU)
    with pytest.raises(InputError, match="file is a file"):
        segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "file", CPU)
    assert bytes_of(tiny_clip) == before


def test_segment_can_be_stopped(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out)
    callbacks = Callbacks(stop_asked=stop_after(2))
    with pytest.raises(
        Interrupted, match=r"after 2 of 6 frames, their masks are in .*; the same command starts"
    ):
        segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "x", CPU, callbacks)
    assert files_of(tmp_path / "x") == NAMES[:2]


def test_segment_refuses_folders_that_hold_a_persons_masks(tiny_clip, keyframes, out):
    train(tiny_clip, keyframes, out)
    trained = load_network(out)
    for folder in (out / "masks", keyframes.parent / "keyframes"):
        folder.mkdir(exist_ok=True)
        (keyframes.parent / "annotations.json").write_text("{}")
        with pytest.raises(InputError, match="which would be lost"):
            segment_clip(open_clip(tiny_clip), trained, folder, CPU)


def test_segment_replaces_its_own_masks_and_no_others(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out)
    trained, mine = load_network(out), write_keyframes(tmp_path / "mine", 2)
    before = bytes_of(mine)
    with pytest.raises(InputError, match=r"mine holds 00002\.png, which dextr-vos segment did not make"):
        segment_clip(open_clip(tiny_clip), trained, mine, CPU)
    assert bytes_of(mine) == before
    for _ in range(2):
        segment_clip(open_clip(tiny_clip), trained, tmp_path / "x", CPU)
    assert files_of(tmp_path / "x") == NAMES
