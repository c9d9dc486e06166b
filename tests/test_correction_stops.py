"""Corrections that are stopped or killed: they end as if they had not been, and nothing is lost meanwhile."""

import os
import shutil

import pytest
from tiny_correction import (
    FILES,
    change,
    files_of,
    paint,
    painted,
    same_network,
    same_results,
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
)

from dextr_vos.errors import Interrupted
from dextr_vos.propagation import run as runs
from dextr_vos.propagation.run import RunFolder
from dextr_vos.propagation.tracker import Tracker
from dextr_vos.propagation.trained_network import load_network
from dextr_vos.run_files import read_record

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")


@pytest.fixture
def out(tiny_clip, keyframes, tmp_path):
    """A finished run."""
    finished_run(tiny_clip, keyframes, tmp_path / "run")
    return tmp_path / "run"


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
    assert stops >= TINY_LITE.recipe.correction_steps + 4  # steps, frames of both passes


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


def kill_at_finish(monkeypatch, calls):
    finish = RunFolder.finish

    def finish_and_die(*given):
        kill_at(monkeypatch, calls)
        finish(*given)

    monkeypatch.setattr(RunFolder, "finish", finish_and_die)


@pytest.mark.parametrize("first", [True, False])
def test_killed_while_masks_are_put_in_place_it_ends_with_the_same_masks(
    tiny_clip, keyframes, out, corrected, tmp_path, monkeypatch, first
):
    """In a new folder, and in that of the run that is corrected."""
    wanted, before = corrected, tmp_path / "before"
    if first:
        wanted = tmp_path / "at once"
        finished_run(tiny_clip, keyframes, wanted)
    else:
        shutil.copytree(out, before)
    with monkeypatch.context() as patched:
        kill_at_finish(patched, 0)
        with pytest.raises(Killed):
            train(tiny_clip, keyframes, before)  # only what comes after segmenting is repeated for each kill
    kills = 0
    while True:
        killed = shutil.copytree(before, tmp_path / f"killed-{kills}")
        with monkeypatch.context() as patched:
            kill_at_finish(patched, kills)
            try:
                train(tiny_clip, keyframes, killed)
            except Killed:
                pass
            else:
                break
        train(tiny_clip, keyframes, killed, on_step=refuse)
        assert bytes_of(killed / "masks") == bytes_of(wanted / "masks"), f"killed at call {kills}"
        assert same_results(killed, wanted)
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
    assert read_record(out / "run.json") == record
    assert load_network(out).record == record.model_copy(update=WITHOUT_MASKS)
    assert bytes_of(out / "masks") == masks
    assert files_of(out) == FILES


def test_what_is_continued_from_is_what_is_there(tiny_clip, keyframes, out):
    """A second correction after a first one that was trained and not segmented."""
    first = read_record(out / "run.json")
    change(keyframes, 0)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(3 + 2))
    assert load_network(out).record.fingerprint == first.fingerprint  # until the new run is whole
    paint(out, *range(6))
    change(keyframes, 5)
    record = train(tiny_clip, keyframes, out)
    assert record.continued_from == first.fingerprint
    # 0 and 5 have changed since the masks that are there were made
    assert painted(out) == ([], [])


@pytest.mark.parametrize("stop_at", [2, 6 + 2])
def test_other_settings_that_were_stopped_leave_no_trace(tiny_clip, keyframes, out, tmp_path, stop_at):
    """Tried with another seed, stopped, and back: nothing goes on from the other seed's network."""
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, seed=1, max_steps=6, stop_asked=stop_after(stop_at))
    untouched = shutil.copytree(keyframes, tmp_path / "before")
    finished_run(tiny_clip, untouched, tmp_path / "new")
    for folder, run in ((keyframes, out), (untouched, tmp_path / "new")):
        change(folder, 5)
        assert train(tiny_clip, folder, run).continued_from is not None
    assert same_network(out, tmp_path / "new")


@pytest.mark.parametrize(("first", "second"), [(TINY_LITE, TINY_PAPER), (TINY_PAPER, TINY_LITE)])
def test_the_other_model_that_was_stopped_is_no_obstacle(tiny_clip, keyframes, tmp_path, first, second):
    run = tmp_path / "both"
    train(tiny_clip, keyframes, run, first)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, run, second, stop_asked=stop_after(second.recipe.max_steps + 2))
    change(keyframes, 5)
    record = train(tiny_clip, keyframes, run, first)
    assert record.model == first.name
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


def test_a_fresh_run_takes_no_masks_of_the_network_before(tiny_clip, keyframes, out, tmp_path):
    change(keyframes, 0)
    train(tiny_clip, keyframes, out)
    for name in NAMES:
        (out / "masks" / name).unlink()
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(2))
    train(tiny_clip, keyframes, out, fresh=True)
    finished_run(tiny_clip, keyframes, tmp_path / "new")
    assert same_results(out, tmp_path / "new")


def test_a_full_disk_while_it_is_put_in_place_loses_no_masks(
    tiny_clip, keyframes, out, corrected, monkeypatch
):
    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_confidence", full)
        with pytest.raises(OSError, match="no space"):
            train(tiny_clip, keyframes, out)
    monkeypatch.setattr(Tracker, "segment", refuse)
    train(tiny_clip, keyframes, out, on_step=refuse)
    assert same_results(out, corrected)
