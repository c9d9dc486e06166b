"""A run, a look at its masks, a correction, the same command again: what may change then, and what may not.

Masks that must stay are told from those that must be made anew by painting over all of them before the
correction: what still shows the paint was not touched.
"""

import logging
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_mask
from PIL import Image
from safetensors.torch import load_file
from tiny_run import TINY_LITE, TINY_OSVOS, bytes_of, stop_after, train, write_keyframes

from dextr_vos.errors import Interrupted
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.networks import weights
from dextr_vos.propagation.confidence import read_confidence, write_confidence
from dextr_vos.propagation.run import RunFolder, load_network
from dextr_vos.propagation.tiers import LITE, build_network
from dextr_vos.record import read_record

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

BOTH = pytest.mark.parametrize("tier", [TINY_LITE, TINY_OSVOS], ids=lambda tier: tier.name)
NAMES = [f"{index:05d}.png" for index in range(6)]
FILES = ["confidence.json", "masks", "network.safetensors", "run.json"]
PAINT = np.full((48, 64), 9, np.uint8)
PAINT[::2] = 4


@pytest.fixture
def keyframes(tmp_path):
    """Of the frames 0 and 3, so 1 and 2 lie between them, 4 and 5 behind."""
    return write_keyframes(tmp_path / "keyframes", 0, 3)


@pytest.fixture
def out(tiny_clip, keyframes, tmp_path):
    """A finished run."""
    train(tiny_clip, keyframes, tmp_path / "run")
    return tmp_path / "run"


def refuse(*_):
    pytest.fail("this was done already")


def change(keyframes, *indices):
    """Correct masks, or add some."""
    for index in indices:
        labels = tiny_mask(index)
        labels[30:34] = 0
        labels[5:9, 5:9] = 1
        write_labels(keyframes / NAMES[index], labels)


def delete(keyframes, *indices):
    for index in indices:
        (keyframes / NAMES[index]).unlink()


def paint(out, *indices):
    """Paint over masks of a run as if they had come out so."""
    for index in indices:
        write_labels(out / "masks" / NAMES[index], PAINT)
    scores = read_confidence(out / "confidence.json")
    write_confidence(out / "confidence.json", scores | {f"{index:05d}": {1: 0.125} for index in indices})


def painted(out):
    """Indices of the masks that still show the paint, and those whose confidence is the painted one's."""
    scores = read_confidence(out / "confidence.json")
    masks = [np.array_equal(read_labels(out / "masks" / name), PAINT) for name in NAMES]
    kept = [scores[f"{index:05d}"] == {1: 0.125} for index in range(6)]
    return [i for i in range(6) if masks[i]], [i for i in range(6) if kept[i]]


def steps_of(*given, **options):
    """The steps that a run takes, and its record."""
    steps = []
    record = train(*given, on_step=lambda step, *_: steps.append(step), **options)
    return steps, record


def tensors(out):
    return load_file(out / "network.safetensors")


def same_network(one, other):
    one, other = tensors(one), tensors(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def same_results(one, other):
    """Masks, confidences and network, to the last bit."""
    assert bytes_of(one / "masks") == bytes_of(other / "masks")
    assert (one / "confidence.json").read_bytes() == (other / "confidence.json").read_bytes()
    assert same_network(one, other)
    return True


def files_of(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


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
def test_masks_beside_a_correction_are_made_anew_and_all_others_stay(tiny_clip, keyframes, out, name):
    correct, kept = CORRECTIONS[name]
    paint(out, *range(6))
    before = bytes_of(out / "masks")
    correct(keyframes)
    control = out.with_name("control")
    shutil.copytree(out, control)
    record = train(tiny_clip, keyframes, out)
    assert record.went_on_from is not None
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


def painted_masks(out):
    return [name for name in NAMES if np.array_equal(read_labels(out / "masks" / name), PAINT)]


def test_a_correction_changes_masks(tiny_clip, keyframes, out):
    """Else the test above would say little."""
    before = bytes_of(out / "masks")
    change(keyframes, 0)
    train(tiny_clip, keyframes, out)
    after = bytes_of(out / "masks")
    assert {name for name in NAMES if after[name] != before[name]} == set(NAMES[:3])


@BOTH
def test_training_goes_on_from_the_network_there_in_fewer_steps(tiny_clip, keyframes, tmp_path, tier):
    run = tmp_path / "of tier"
    first = train(tiny_clip, keyframes, run, tier)
    before = tensors(run)
    change(keyframes, 0)
    standing = replace(tier, optimizer=lambda network: torch.optim.SGD(network.parameters(), lr=0.0))
    steps, record = steps_of(tiny_clip, keyframes, run, standing)
    assert steps == list(range(1, tier.recipe.again_steps + 1))
    assert len(steps) < first.training.steps
    assert (record.went_on_from, record.training.steps) == (first.fingerprint, len(steps))
    assert record.fingerprint != first.fingerprint
    assert read_record(run / "run.json") == load_network(run).record == record
    # an optimiser that stands still shows where it began
    after = tensors(run)
    learned = [key for key in after if not key.startswith("memory.")]
    assert all(torch.equal(after[key], before[key]) for key in learned)


def test_a_correction_is_learned_and_remembered(tiny_clip, keyframes, out):
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
    assert "going on from the network of the last run" in caplog.text
    assert "anew" not in caplog.text


def test_corrections_may_follow_one_another(tiny_clip, keyframes, out):
    records = [read_record(out / "run.json")]
    for index in (5, 1, 0):
        change(keyframes, index)
        records.append(train(tiny_clip, keyframes, out))
    assert [record.went_on_from for record in records] == [None, *(each.fingerprint for each in records[:3])]
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
    assert (third.fingerprint, third.went_on_from) == (first.fingerprint, second.fingerprint)
    assert painted(out) == ([4, 5], [4, 5])
    assert bytes_of(out / "masks")[NAMES[0]] == given[NAMES[0]]
    assert read_record(out / "run.json") == load_network(out).record == third


def test_the_same_mask_in_another_file_changes_that_file_alone(tiny_clip, keyframes, out):
    paint(out, *range(6))
    write_keyframes(keyframes, 3, white=True)
    train(tiny_clip, keyframes, out)
    assert painted(out)[0] == [1, 2, 4, 5]
    assert bytes_of(out / "masks")[NAMES[3]] == bytes_of(keyframes)[NAMES[3]]


def test_a_keyframe_is_its_picture_too(tiny_clip, keyframes, out):
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
    assert record.went_on_from is not None
    assert [entry.id for entry in record.objects] == [1, 2]
    assert painted(out)[0] == [1, 2]
    assert sorted(read_confidence(out / "confidence.json")["00004"]) == [1, 2]


def two_objects(keyframes, *indices):
    for index in indices:
        labels = tiny_mask(index)
        labels[38:46, 10:50] = 2
        write_labels(keyframes / NAMES[index], labels)


@BOTH
def test_several_objects_can_be_corrected(tiny_clip, keyframes, tmp_path, tier):
    two_objects(keyframes, 0, 3)
    run = tmp_path / "of tier"
    first = train(tiny_clip, keyframes, run, tier)
    two_objects(keyframes, 5)
    record = train(tiny_clip, keyframes, run, tier)
    assert record.went_on_from == first.fingerprint
    assert [entry.id for entry in record.objects] == [1, 2]
    assert sorted(bytes_of(run / "masks")) == NAMES


def test_osvos_with_another_number_of_objects_begins_anew(tiny_clip, keyframes, tmp_path):
    train(tiny_clip, keyframes, tmp_path / "osvos", TINY_OSVOS)
    two_objects(keyframes, 5)
    record = train(tiny_clip, keyframes, tmp_path / "osvos", TINY_OSVOS)
    assert (record.went_on_from, record.training.steps) == (None, TINY_OSVOS.recipe.max_steps)


def test_without_a_keyframe_in_common_it_begins_anew(tiny_clip, keyframes, out):
    paint(out, *range(6))
    delete(keyframes, 0, 3)
    write_keyframes(keyframes, 1, 4)
    steps, record = steps_of(tiny_clip, keyframes, out)
    assert (len(steps), record.went_on_from) == (8, None)
    assert painted(out) == ([], [])


@pytest.mark.parametrize("change_keyframe", [True, False])
@pytest.mark.parametrize("setting", ["seed", "parent", "max_steps", "tier"])
def test_other_settings_begin_anew(tiny_clip, keyframes, out, tmp_path, setting, change_keyframe):
    weights.save(tmp_path / "parent.safetensors", build_network(LITE, 1, 7).state_dict())
    options = {
        "seed": {"seed": 1},
        "parent": {"parent": tmp_path / "parent.safetensors"},
        "max_steps": {"max_steps": 6},
        "tier": {"tier": TINY_OSVOS},
    }[setting]
    paint(out, *range(6))
    if change_keyframe:
        change(keyframes, 5)
    record = train(tiny_clip, keyframes, out, **options)
    assert record.went_on_from is None
    train(tiny_clip, keyframes, tmp_path / "new", **options)
    assert same_results(out, tmp_path / "new")


def test_a_network_that_is_broken_is_not_gone_on_from(tiny_clip, keyframes, out, tmp_path):
    (out / "network.safetensors").write_bytes((out / "network.safetensors").read_bytes()[:400])
    change(keyframes, 0)
    assert train(tiny_clip, keyframes, out).went_on_from is None
    train(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")


# --fresh


def test_fresh_begins_anew_as_in_a_new_folder(tiny_clip, keyframes, out, tmp_path):
    paint(out, *range(6))
    change(keyframes, 0)
    steps, record = steps_of(tiny_clip, keyframes, out, fresh=True)
    assert (len(steps), record.went_on_from) == (8, None)
    train(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")


def test_fresh_after_a_finished_correction_begins_anew_too(tiny_clip, keyframes, out, tmp_path):
    """Nothing has changed since, and still it was asked for what the whole training gives."""
    change(keyframes, 0)
    assert train(tiny_clip, keyframes, out).went_on_from is not None
    assert train(tiny_clip, keyframes, out, fresh=True).went_on_from is None
    train(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")


@pytest.mark.parametrize("corrected_before", [True, False])
@pytest.mark.parametrize("stop_at", [0, 3, 8, 8 + 4])
def test_fresh_goes_on_after_a_stop(tiny_clip, keyframes, out, tmp_path, stop_at, corrected_before):
    change(keyframes, 0)
    if corrected_before:
        train(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, fresh=True, stop_asked=stop_after(stop_at))
    assert bytes_of(out / "masks") == before
    steps, record = steps_of(tiny_clip, keyframes, out, fresh=True)
    assert steps == list(range(stop_at + 1, 9))  # what was done is not done again
    assert record.went_on_from is None
    train(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")


# stops


@pytest.fixture
def corrected(tiny_clip, keyframes, out, tmp_path):
    """The same correction without a stop; the keyframes are as they are then."""
    paint(out, 4, 5)  # these stay
    change(keyframes, 0)
    shutil.copytree(out, tmp_path / "corrected")
    train(tiny_clip, keyframes, tmp_path / "corrected")
    return tmp_path / "corrected"


def test_stopped_anywhere_it_ends_with_the_same_masks(tiny_clip, keyframes, out, corrected, tmp_path):
    old, record = bytes_of(out / "masks"), read_record(out / "run.json")
    stops = 0
    while True:
        stopped = tmp_path / f"stopped-{stops}"
        shutil.copytree(out, stopped)
        try:
            train(tiny_clip, keyframes, stopped, stop_asked=stop_after(stops))
        except Interrupted:
            # the old masks stay, and so does what is said about them
            assert bytes_of(stopped / "masks") == old
            assert (stopped / "confidence.json").read_bytes() == (out / "confidence.json").read_bytes()
            assert read_record(stopped / "run.json") == record
        else:
            break
        train(tiny_clip, keyframes, stopped)
        assert same_results(stopped, corrected)
        assert files_of(stopped) == FILES
        stops += 1
    assert stops >= TINY_LITE.recipe.again_steps + 4  # steps, frames of both passes


def test_stopped_again_and_again_it_ends_with_the_same_masks(tiny_clip, keyframes, out, corrected):
    for _ in range(20):
        try:
            train(tiny_clip, keyframes, out, stop_asked=stop_after(3))
        except Interrupted:
            continue
        break
    assert same_results(out, corrected)


class Killed(BaseException):
    """What a process would not see coming."""


def kill_at(monkeypatch, calls):
    """From that call on, nothing is renamed or removed any more, and the first such call ends everything."""
    done = []

    def dying(original):
        def call(*given, **options):
            done.append(original)
            if len(done) <= calls:
                return original(*given, **options)
            if len(done) == calls + 1:
                raise Killed
            return None

        return call

    for name in ("replace", "rename", "unlink", "remove", "rmdir"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


def test_killed_while_masks_are_put_in_place_it_ends_with_the_same_masks(
    tiny_clip, keyframes, out, corrected, tmp_path, monkeypatch
):
    finish = RunFolder.finish
    kills = 0
    while True:
        killed = tmp_path / f"killed-{kills}"
        shutil.copytree(out, killed)
        with monkeypatch.context() as patched:

            def finish_and_die(*given, patched=patched, kills=kills):
                kill_at(patched, kills)
                finish(*given)

            patched.setattr(RunFolder, "finish", finish_and_die)
            try:
                train(tiny_clip, keyframes, killed)
            except Killed:
                pass
            else:
                break
        train(tiny_clip, keyframes, killed, on_step=refuse)
        assert bytes_of(killed / "masks") == bytes_of(corrected / "masks"), f"killed at call {kills}"
        assert same_results(killed, corrected)
        assert files_of(killed) == FILES
        kills += 1
    assert kills > 3


# stops, and then something else


def test_a_stopped_correction_taken_back_leaves_the_run_as_it_says(tiny_clip, keyframes, out):
    """Its own network is gone by then: masks, record and network must still be of one run."""
    given, masks = bytes_of(keyframes), bytes_of(out / "masks")
    change(keyframes, 0)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(3 + 2))  # trained, not segmented
    (keyframes / NAMES[0]).write_bytes(given[NAMES[0]])
    record = train(tiny_clip, keyframes, out)
    assert read_record(out / "run.json") == load_network(out).record == record
    assert bytes_of(out / "masks") == masks
    assert files_of(out) == FILES


def test_what_is_gone_on_from_is_what_is_there(tiny_clip, keyframes, out):
    """A second correction after a first one that was trained and not segmented."""
    first = read_record(out / "run.json")
    change(keyframes, 0)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(3 + 2))
    assert load_network(out).record == first  # until the new run is whole
    paint(out, *range(6))
    change(keyframes, 5)
    record = train(tiny_clip, keyframes, out)
    assert record.went_on_from == first.fingerprint
    # 0 and 5 have changed since the masks that are there were made
    assert painted(out) == ([], [])


@pytest.mark.parametrize("stop_at", [2, 6 + 2])
def test_other_settings_that_were_stopped_leave_no_trace(tiny_clip, keyframes, out, tmp_path, stop_at):
    """Tried with another seed, stopped, and back: nothing goes on from the other seed's network."""
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, seed=1, max_steps=6, stop_asked=stop_after(stop_at))
    untouched = shutil.copytree(keyframes, tmp_path / "before")
    train(tiny_clip, untouched, tmp_path / "new")
    for folder, run in ((keyframes, out), (untouched, tmp_path / "new")):
        change(folder, 5)
        assert train(tiny_clip, folder, run).went_on_from is not None
    assert same_network(out, tmp_path / "new")


@pytest.mark.parametrize(("first", "second"), [(TINY_LITE, TINY_OSVOS), (TINY_OSVOS, TINY_LITE)])
def test_the_other_tier_that_was_stopped_is_no_obstacle(tiny_clip, keyframes, tmp_path, first, second):
    run = tmp_path / "both"
    train(tiny_clip, keyframes, run, first)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, run, second, stop_asked=stop_after(second.recipe.max_steps + 2))
    change(keyframes, 5)
    record = train(tiny_clip, keyframes, run, first)
    assert record.network == first.name
    assert sorted(bytes_of(run / "masks")) == NAMES


def test_masks_of_an_earlier_try_never_mix_with_later_ones(tiny_clip, keyframes, out):
    """One correction, stopped while segmenting; another one likewise; then the first one again."""
    given = bytes_of(keyframes)
    change(keyframes, 3)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(3 + 5))
    one = bytes_of(keyframes)
    (keyframes / NAMES[3]).write_bytes(given[NAMES[3]])
    change(keyframes, 0)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(3 + 3))
    for name, content in one.items():
        (keyframes / name).write_bytes(content)
    swept = out.with_name("swept")
    shutil.copytree(out, swept)
    for leftover in swept.glob(".next-*"):
        shutil.rmtree(leftover)
    for run in (out, swept):
        train(tiny_clip, keyframes, run)
    assert same_results(out, swept)


@pytest.mark.parametrize("lost", range(6))
def test_a_mask_that_was_lost_after_a_correction_is_made_again(tiny_clip, keyframes, out, lost):
    change(keyframes, 0)
    train(tiny_clip, keyframes, out)
    (out / "masks" / NAMES[lost]).unlink()
    train(tiny_clip, keyframes, out, on_step=refuse)
    assert sorted(bytes_of(out / "masks")) == NAMES


@pytest.mark.parametrize("lost", [4, 5])
def test_a_mask_that_was_lost_before_a_correction_is_made_with_it(tiny_clip, keyframes, out, lost):
    (out / "masks" / NAMES[lost]).unlink()
    change(keyframes, 0)
    train(tiny_clip, keyframes, out)
    assert sorted(bytes_of(out / "masks")) == NAMES
