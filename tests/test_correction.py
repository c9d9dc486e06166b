"""A run, a look at its masks, a correction, the same command again: what may change then, and what may not.

Masks that must stay are distinguished from those that must be made again by painting over all of them before
the correction: what still shows the paint was not touched.
"""

import logging
import shutil

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_correction import (
    FILES,
    PAINT,
    change,
    delete,
    files_of,
    paint,
    painted,
    same_results,
    steps_of,
    tensors,
)
from tiny_run import (
    NAMES,
    TINY_LITE,
    TINY_PAPER,
    WITHOUT_MASKS,
    bytes_of,
    finished_run,
    refuse,
    stop_after,
    train,
    write_keyframes,
)

from dextr_vos.clip import FolderClip
from dextr_vos.errors import Interrupted
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.networks import checkpoints as weights
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.tracker import Tracker
from dextr_vos.propagation.trained_network import load_network
from dextr_vos.run_files import read_confidence, read_record

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

BOTH = pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=lambda model: model.name)


@pytest.fixture
def out(tiny_clip, keyframes, tmp_path):
    """A finished run."""
    finished_run(tiny_clip, keyframes, tmp_path / "run")
    return tmp_path / "run"


CORRECTIONS = {
    "0 corrected": (lambda folder: change(folder, 0), [4, 5]),
    "3 corrected": (lambda folder: change(folder, 3), []),
    "1 added": (lambda folder: change(folder, 1), [4, 5]),
    "2 added": (lambda folder: change(folder, 2), [4, 5]),
    "4 added": (lambda folder: change(folder, 4), [1, 2]),
    "5 added": (lambda folder: change(folder, 5), [1, 2]),
    "1 and 2 added": (lambda folder: change(folder, 1, 2), [4, 5]),
    "0 corrected, 5 added": (lambda folder: change(folder, 0, 5), []),
    "3 deleted": (lambda folder: delete(folder, 3), []),
    "0 deleted": (lambda folder: delete(folder, 0), [4, 5]),
}


@pytest.mark.parametrize("name", CORRECTIONS)
def test_masks_beside_a_correction_are_made_again_and_all_others_stay(tiny_clip, keyframes, out, name):
    correct, kept = CORRECTIONS[name]
    paint(out, *range(6))
    before = bytes_of(out / "masks")
    correct(keyframes)
    control = out.with_name("control")
    shutil.copytree(out, control)
    record = train(tiny_clip, keyframes, out)
    assert record.continued_from is not None
    assert painted(out) == (kept, kept)
    after = bytes_of(out / "masks")
    assert sorted(after) == NAMES
    assert all(after[NAMES[index]] == before[NAMES[index]] for index in kept)
    # keyframes are copies, whether they are new, corrected or old
    given = bytes_of(keyframes)
    assert {file: after[file] for file in given} == given
    # where nothing may stay, because nobody knows how good it is, the same network makes the same masks
    (control / "confidence.json").unlink()
    train(tiny_clip, keyframes, control)
    assert painted_masks(control) == []
    whole = bytes_of(control / "masks")
    assert all(after[file] == whole[file] for file in NAMES if NAMES.index(file) not in kept)
    assert files_of(out) == FILES


def test_a_correction_computes_nothing_elsewhere(tmp_path, monkeypatch):
    """Of 30 frames, 20 to 25 lie between the keyframe that is new and its neighbour; 26 to 29 behind it."""
    clip = tmp_path / "clip"
    clip.mkdir()
    for index in range(30):
        Image.fromarray(tiny_frame(index % 6)).save(clip / f"{index:05d}.png")
    keyframes = write_keyframes(tmp_path / "keyframes")
    for index in (0, 10, 20):
        write_labels(keyframes / f"{index:05d}.png", tiny_mask(index % 6))
    train(clip, keyframes, tmp_path / "run")
    write_labels(keyframes / "00025.png", tiny_mask(1))
    read, segmented = [], []
    one, other = FolderClip.read, Tracker.segment
    monkeypatch.setattr(FolderClip, "read", lambda clip, index: read.append(index) or one(clip, index))
    monkeypatch.setattr(Tracker, "segment", lambda *args: segmented.append(1) or other(*args))
    assert train(clip, keyframes, tmp_path / "run").continued_from is not None
    assert set(read) <= {0, 10, 20, *range(20, 30)}  # the keyframes are learned again
    assert len(segmented) == 2 * 4 + 4 + 4  # both ways, to the end, and the four keyframes


def painted_masks(out):
    return [name for name in NAMES if np.array_equal(read_labels(out / "masks" / name), PAINT)]


def test_a_correction_changes_masks(tiny_clip, keyframes, out):
    """Else the test above would say little."""
    before = bytes_of(out / "masks")
    change(keyframes, 0)
    train(tiny_clip, keyframes, out)
    after = bytes_of(out / "masks")
    changed = {name for name in NAMES if after[name] != before[name]}
    assert {NAMES[0]} < changed <= set(NAMES[:3])  # the correction and a prediction, none beyond frame 3


@BOTH
def test_training_continues_from_the_network_there_in_fewer_steps(
    tiny_clip, keyframes, tmp_path, model, monkeypatch
):
    run = tmp_path / "of model"
    first = train(tiny_clip, keyframes, run, model)
    before = tensors(run)
    change(keyframes, 0)
    monkeypatch.setattr(
        type(model), "optimizer", lambda _, network: torch.optim.SGD(network.parameters(), lr=0.0)
    )
    steps, record = steps_of(tiny_clip, keyframes, run, model)
    assert steps == list(range(1, model.recipe.correction_steps + 1))
    assert len(steps) < first.training.steps
    assert (record.continued_from, record.training.steps) == (first.fingerprint, len(steps))
    assert record.fingerprint != first.fingerprint
    assert read_record(run / "run.json") == record
    assert load_network(run).record == record.model_copy(update=WITHOUT_MASKS)
    # an optimiser that stands still shows where it began
    after = tensors(run)
    learned = [key for key in after if not key.startswith("memory.")]
    assert all(torch.equal(after[key], before[key]) for key in learned)


def test_a_correction_is_learned_and_memorized(tiny_clip, keyframes, out):
    before = tensors(out)
    change(keyframes, 0)
    train(tiny_clip, keyframes, out)
    after = tensors(out)
    assert any(not torch.equal(after[key], before[key]) for key in after if not key.startswith("memory."))
    assert not torch.equal(after["memory.masks"], before["memory.masks"])


def test_a_finished_correction_is_not_repeated(tiny_clip, keyframes, out):
    change(keyframes, 0)
    record = train(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    assert train(tiny_clip, keyframes, out, on_step=refuse, on_frame=refuse) == record
    assert bytes_of(out / "masks") == before


def test_what_is_said_of_a_correction_is_what_is_done(tiny_clip, keyframes, out, caplog):
    change(keyframes, 0)
    with caplog.at_level(logging.INFO):
        train(tiny_clip, keyframes, out)
    assert "continuing with the network of the last run" in caplog.text
    assert "again" not in caplog.text


def test_corrections_may_follow_one_another(tiny_clip, keyframes, out):
    records = [read_record(out / "run.json")]
    for index in (5, 1, 0):
        change(keyframes, index)
        records.append(train(tiny_clip, keyframes, out))
    assert [record.continued_from for record in records] == [
        None,
        *(each.fingerprint for each in records[:3]),
    ]
    assert records[-1].keyframes == ("00000", "00001", "00003", "00005")
    given = bytes_of(keyframes)
    assert {name: bytes_of(out / "masks")[name] for name in given} == given


def test_a_correction_taken_back_is_a_correction(tiny_clip, keyframes, out):
    first, given = read_record(out / "run.json"), bytes_of(keyframes)
    change(keyframes, 0)
    second = train(tiny_clip, keyframes, out)
    (keyframes / NAMES[0]).write_bytes(given[NAMES[0]])
    paint(out, *range(6))
    third = train(tiny_clip, keyframes, out)
    assert (third.fingerprint, third.continued_from) == (first.fingerprint, second.fingerprint)
    assert painted(out) == ([4, 5], [4, 5])
    assert bytes_of(out / "masks")[NAMES[0]] == given[NAMES[0]]
    assert read_record(out / "run.json") == third
    assert load_network(out).record == third.model_copy(update=WITHOUT_MASKS)


def test_the_same_mask_in_another_file_changes_that_file_alone(tiny_clip, keyframes, out):
    paint(out, *range(6))
    write_keyframes(keyframes, 3, white=True)
    train(tiny_clip, keyframes, out)
    assert painted(out)[0] == [1, 2, 4, 5]
    assert np.array_equal(read_labels(out / "masks" / NAMES[3]), read_labels(keyframes / NAMES[3]))


def test_a_keyframe_is_its_image_too(tiny_clip, keyframes, out):
    """Frame 3 shows something else now: masks that followed from it are not what they were."""
    paint(out, *range(6))
    image = np.asarray(Image.open(tiny_clip / NAMES[3]))
    Image.fromarray(255 - image).save(tiny_clip / NAMES[3])
    train(tiny_clip, keyframes, out)
    assert painted(out)[0] == []


def test_a_new_object_may_come_with_a_correction(tiny_clip, keyframes, out):
    paint(out, *range(6))
    labels = tiny_mask(5)
    labels[38:46, 10:50] = 2
    write_labels(keyframes / NAMES[5], labels)
    record = train(tiny_clip, keyframes, out)
    assert record.continued_from is not None
    assert [entry.id for entry in record.objects] == [1, 2]
    assert painted(out)[0] == [1, 2]
    assert sorted(read_confidence(out / "confidence.json")["00004"]) == [1, 2]


def two_objects(keyframes, *indices):
    for index in indices:
        labels = tiny_mask(index)
        labels[38:46, 10:50] = 2
        write_labels(keyframes / NAMES[index], labels)


@BOTH
def test_several_objects_can_be_corrected(tiny_clip, keyframes, tmp_path, model):
    two_objects(keyframes, 0, 3)
    run = tmp_path / "of model"
    first = train(tiny_clip, keyframes, run, model)
    two_objects(keyframes, 5)
    record = train(tiny_clip, keyframes, run, model)
    assert record.continued_from == first.fingerprint
    assert [entry.id for entry in record.objects] == [1, 2]
    assert sorted(bytes_of(run / "masks")) == NAMES


def test_osvos_with_another_number_of_objects_starts_again(tiny_clip, keyframes, tmp_path):
    train(tiny_clip, keyframes, tmp_path / "paper", TINY_PAPER)
    two_objects(keyframes, 5)
    record = train(tiny_clip, keyframes, tmp_path / "paper", TINY_PAPER)
    assert (record.continued_from, record.training.steps) == (None, TINY_PAPER.recipe.max_steps)


def test_without_a_keyframe_in_common_it_starts_again(tiny_clip, keyframes, out):
    paint(out, *range(6))
    delete(keyframes, 0, 3)
    write_keyframes(keyframes, 1, 4)
    steps, record = steps_of(tiny_clip, keyframes, out)
    assert (len(steps), record.continued_from) == (8, None)
    assert painted(out) == ([], [])


@pytest.mark.parametrize("change_keyframe", [True, False])
@pytest.mark.parametrize("setting", ["seed", "parent", "max_steps", "model"])
def test_other_settings_start_again(tiny_clip, keyframes, out, tmp_path, setting, change_keyframe):
    weights.save(tmp_path / "parent.safetensors", LITE.start(1, 7, None).state_dict())
    options = {
        "seed": {"seed": 1},
        "parent": {"parent": tmp_path / "parent.safetensors"},
        "max_steps": {"max_steps": 6},
        "model": {"model": TINY_PAPER},
    }[setting]
    paint(out, *range(6))
    if change_keyframe:
        change(keyframes, 5)
    record = train(tiny_clip, keyframes, out, **options)
    assert record.continued_from is None
    train(tiny_clip, keyframes, tmp_path / "new", **options)
    assert same_results(out, tmp_path / "new")


def test_a_network_that_is_broken_is_not_continued_from(tiny_clip, keyframes, out, tmp_path):
    (out / "network.safetensors").write_bytes((out / "network.safetensors").read_bytes()[:400])
    change(keyframes, 0)
    assert train(tiny_clip, keyframes, out).continued_from is None
    finished_run(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")


# --fresh


def test_fresh_starts_again_as_in_a_new_folder(tiny_clip, keyframes, out, tmp_path):
    paint(out, *range(6))
    change(keyframes, 0)
    steps, record = steps_of(tiny_clip, keyframes, out, fresh=True)
    assert (len(steps), record.continued_from) == (8, None)
    finished_run(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")


def test_fresh_after_a_finished_correction_starts_again_too(tiny_clip, keyframes, out, tmp_path):
    """Nothing has changed since, and still it was asked for what the whole training gives."""
    change(keyframes, 0)
    assert train(tiny_clip, keyframes, out).continued_from is not None
    assert train(tiny_clip, keyframes, out, fresh=True).continued_from is None
    finished_run(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")


@pytest.mark.parametrize("corrected_before", [True, False])
@pytest.mark.parametrize("stop_at", [0, 3, 8, 8 + 4])
def test_fresh_continues_after_a_stop(tiny_clip, keyframes, out, tmp_path, stop_at, corrected_before):
    change(keyframes, 0)
    if corrected_before:
        train(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, fresh=True, stop_asked=stop_after(stop_at))
    assert bytes_of(out / "masks") == before
    steps, record = steps_of(tiny_clip, keyframes, out, fresh=True)
    assert steps == list(range(stop_at + 1, 9))  # what was done is not done again
    assert record.continued_from is None
    finished_run(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")
