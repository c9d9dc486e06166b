from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_run import write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.propagation.keyframes import AnnotatedClip, read_keyframes
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.origins import run_spans
from dextr_vos.propagation.out_folder import check_run_folder
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.run import RunFolder, UnfinishedMasks, lock_frames
from dextr_vos.propagation.trained_network import TrainedNetwork, load_network, save_network
from dextr_vos.run_files import (
    RunClip,
    RunObject,
    RunPaths,
    RunRecord,
    RunTraining,
    read_confidence,
    read_record,
    write_confidence,
    write_record,
)

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

RECORD = RunRecord(
    model="lite",
    clip=RunClip(path="/clips/böar", frames=6, size_hw=(48, 64), identity="0" * 64),
    objects=(RunObject(id=1, name="boar"), RunObject(id=3, name="object 3")),
    keyframes=("00000", "00003"),
    longest_side=480,
    settings=LITE.recipe.as_dict(),
    parent=None,
    seed=7,
    training=RunTraining(steps=8, stop="converged", loss=0.1, seconds=1.5),
    fingerprint="f" * 64,
)


@pytest.fixture
def run(tmp_path):
    """A run with its network and its record."""
    run = RunFolder(tmp_path / "run")
    save_network(run.paths.network, TrainedNetwork(LITE.start(2, 0, None), RECORD))
    write_record(run.paths.record, RECORD)
    return run


def pending(run, fingerprint, *names):
    made = run.pending(fingerprint, None)
    for name in names:
        made.masks.write(name, np.zeros((2, 2), np.uint8), {1: 0.5})
    return made


def test_finished_masks_replace_older_ones_whole(run):
    run.paths.masks.mkdir()
    (run.paths.masks / "00009.png").write_bytes(b"old")
    write_confidence(run.paths.confidence, {"00009": {1: 0.1}})
    mine = pending(run, "a" * 64, "00001", "00000")
    pending(run, "b" * 64, "00000")
    record = RECORD.model_copy(update={"seed": 77})
    save_network(mine.paths.network, TrainedNetwork(LITE.start(1, 0, None), record))
    run.finish(mine, record, ["00000", "00001"])
    assert sorted(path.name for path in run.paths.masks.iterdir()) == ["00000.png", "00001.png"]
    assert list(read_confidence(run.paths.confidence)) == ["00000", "00001"]
    assert read_record(run.paths.record).seed == load_network(run.paths.path).record.seed == 77
    assert sorted(path.name for path in run.paths.path.iterdir()) == [
        *("confidence.json", "masks", "network.safetensors", "run.json")
    ]


def test_pending_runs_of_other_keyframes_or_networks_have_other_folders(run):
    folders = {run.pending(mark, start).paths.path for mark in ("a", "b") for start in (None, "x", "y")}
    assert len(folders) == 6


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(run):
    made = pending(run, "a" * 64, "00003")
    leftovers = [
        made.paths.masks / ".dextr-vos-00x1y2_3.png",
        run.paths.path / ".dextr-vos-00x1y2_3.safetensors",
    ]
    kept = [run.paths.path / name for name in (".hidden", "notes.pt", ".dextr-vos-notes", ".next-plans")]
    for path in leftovers + kept:
        path.write_bytes(b"x")
    run.finish(made, RECORD, ["00003"])
    assert not [path.name for path in leftovers if path.exists()]
    assert [path.name for path in run.paths.masks.iterdir()] == ["00003.png"]
    assert all(path.exists() for path in (*kept, run.paths.network, run.paths.record))


@pytest.mark.parametrize("missing", ["record", "network", None])
def test_a_run_is_finished_when_all_of_it_is_there(run, missing):
    if missing is not None:
        getattr(run.paths, missing).unlink()
    assert (run.finished() is None) == (missing is not None)


def test_a_run_whose_network_is_broken_is_not_finished(run):
    run.paths.masks.mkdir()
    assert run.finished() is not None
    run.paths.network.write_bytes(run.paths.network.read_bytes()[:500])
    assert run.finished() is None


@pytest.fixture
def clip(tiny_clip):
    return open_clip(tiny_clip)


def test_masks_are_found_with_their_confidence_and_origin(run, clip):
    assert run.made_masks(RECORD, clip) == {}
    for index in (0, 1, 2, 4):
        write_labels(run.paths.masks / f"{index:05d}.png", np.zeros((48, 64), np.uint8))
    write_confidence(run.paths.confidence, {name: {1: 0.25} for name in clip.names if name != "00002"})
    made = run.made_masks(RECORD, clip)
    assert sorted(made) == [0, 1, 4]
    assert all(made[index].path == run.paths.masks / f"{index:05d}.png" for index in made)
    assert all(mask.confidence == {1: 0.25} for mask in made.values())
    assert made[0].origin is None  # a keyframe
    assert (made[1].origin.before, made[1].origin.after) == ("00000", "00003")
    assert (made[4].origin.before, made[4].origin.after) == ("00003", None)
    run.paths.confidence.write_text("{")
    assert run.made_masks(RECORD, clip) == {}


def test_a_run_killed_while_it_is_put_in_place_is_finished_by_the_next_one(run):
    run.paths.masks.mkdir()
    (run.paths.masks / "00009.png").write_bytes(b"old")
    record = RECORD.model_copy(update={"seed": 77})
    made = pending(run, "a" * 64, "00000")
    save_network(made.paths.network, TrainedNetwork(LITE.start(2, 0, None), record))
    write_confidence(made.paths.confidence, {"00000": {1: 0.5}})
    write_record(made.paths.record, record)
    run.recover()  # not complete: it stays pending
    assert read_record(run.paths.record).seed == RECORD.seed
    assert made.is_trained()
    made.paths.complete.touch()
    made.paths.network.replace(run.paths.network)  # killed after the network was moved
    run.recover()
    assert read_record(run.paths.record).seed == load_network(run.paths.path).record.seed == 77
    assert [path.name for path in run.paths.masks.iterdir()] == ["00000.png"]
    assert not run.paths.all_pending()


@pytest.mark.parametrize("content", [None, b"", b"half a network"])
def test_a_pending_run_is_trained_once_its_network_is_complete(run, content):
    made = pending(run, "a" * 64)
    if content is not None:
        made.paths.path.mkdir(exist_ok=True)
        made.paths.network.write_bytes(content)
    assert not made.is_trained()
    save_network(made.paths.network, TrainedNetwork(LITE.start(2, 0, None), RECORD))
    assert made.is_trained()
    made.clear()
    assert not made.paths.path.exists()


def test_a_run_is_segmented_when_every_mask_that_is_wanted_is_there(run, clip, tmp_path):
    keyframes = read_keyframes(write_keyframes(tmp_path / "keyframes", 0, 3), clip)
    plan = Plan(AnnotatedClip(clip, keyframes), LITE, None)
    part = replace(plan, frames=frozenset([1, 4]))
    record = RECORD.model_copy(update={"spans": run_spans(plan.origins, clip.names)})
    write_confidence(run.paths.confidence, {name: {1: 0.25} for name in clip.names})
    for index in (3, 0, 1, 4, 2, 5):
        assert not run.is_segmented(record, plan)
        write_labels(run.paths.mask(clip.names[index]), np.zeros((48, 64), np.uint8))
        assert run.is_segmented(record, part) == (index in (4, 2, 5))
    assert run.is_segmented(record, plan)
    # in a span at the end it is the same
    assert not run.is_segmented(record, replace(plan, direction="forward"))
    assert run.is_segmented(record, replace(plan, direction="forward", frames=frozenset([4])))
    run.paths.confidence.unlink()
    assert not run.is_segmented(record, plan)


def test_a_folder_is_kept_to_one_process(tmp_path):
    with (
        RunFolder(tmp_path / "run").locked(),
        pytest.raises(InputError, match=r"run is in use by process \d+ on"),
        RunFolder(tmp_path / "run").locked(),
    ):
        pass
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file"), RunFolder(tmp_path / "file").locked():
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_in_which_something_would_be_lost_is_refused(run, clip, tmp_path):
    with pytest.raises(InputError, match=r"holds a run on /clips/böar \(6 frames of 64×48\), not on"):
        check_run_folder(run.paths, clip, None)
    write_record(run.paths.record, RECORD.model_copy(update={"clip": RunClip.of(clip)}))
    check_run_folder(run.paths, clip, None)
    with pytest.raises(InputError, match="which this run would replace; copy them to another folder"):
        check_run_folder(run.paths, clip, run.paths.mask("00000"))
    masks = write_keyframes(tmp_path / "other" / "masks", 0)
    with pytest.raises(InputError, match="did not make it but would replace it; give another --out"):
        check_run_folder(RunPaths(masks.parent), clip, None)
    check_run_folder(RunPaths(tmp_path / "new"), clip, None)


@pytest.fixture
def paths(tmp_path):
    """Of a pending run."""
    return RunPaths(tmp_path / ".next-abc")


def test_unfinished_masks_are_read_again(paths, tmp_path):
    masks = UnfinishedMasks(paths)
    assert "00000" not in masks
    masks.write("00000", tiny_mask(0), {1: 0.5, 7: 0.25})
    write_labels(tmp_path / "given.png", tiny_mask(3))
    masks.copy("00003", tmp_path / "given.png", {1: 1.0})
    for again in (masks, UnfinishedMasks(paths)):
        assert "00000" in again
        assert "00003" in again
        assert "00001" not in again
        assert again.confidence == {"00000": {1: 0.5, 7: 0.25}, "00003": {1: 1.0}}
    assert np.array_equal(read_labels(paths.masks / "00000.png"), tiny_mask(0))
    assert (paths.masks / "00003.png").read_bytes() == (tmp_path / "given.png").read_bytes()


@pytest.mark.parametrize("kept", range(1, 24))
def test_a_kill_within_a_line_loses_only_that_mask(paths, kept):
    masks = UnfinishedMasks(paths)
    masks.write("00000", tiny_mask(0), {1: 0.5})
    whole = paths.confidence_log.read_bytes()
    masks.write("00001", tiny_mask(1), {1: 0.75})
    line = paths.confidence_log.read_bytes()[len(whole) :]
    paths.confidence_log.write_bytes(whole + line[: min(kept, len(line) - 2)])
    again = UnfinishedMasks(paths)
    assert "00000" in again
    assert "00001" not in again
    assert again.confidence == {"00000": {1: 0.5}}


@pytest.mark.parametrize("score", ["1e999x", "1" + "0" * 400, "null", "[]"])
def test_a_line_whose_score_is_no_number_loses_only_that_mask(paths, score):
    UnfinishedMasks(paths).write("00000", tiny_mask(0), {1: 0.5})
    with paths.confidence_log.open("a") as log:
        log.write(f'["00001", {{"1": {score}}}]\n')
    assert UnfinishedMasks(paths).confidence == {"00000": {1: 0.5}}


def test_masks_written_after_a_kill_within_a_line_are_kept(paths):
    masks = UnfinishedMasks(paths)
    masks.write("00000", tiny_mask(0), {1: 0.5})
    masks.write("00001", tiny_mask(1), {1: 0.75})
    paths.confidence_log.write_bytes(paths.confidence_log.read_bytes()[:-6])
    UnfinishedMasks(paths).write("00001", tiny_mask(1), {1: 0.75})
    assert UnfinishedMasks(paths).confidence == {"00000": {1: 0.5}, "00001": {1: 0.75}}


def test_a_deleted_mask_is_missing_though_its_line_is_there(paths):
    masks = UnfinishedMasks(paths)
    masks.write("00000", tiny_mask(0), {1: 0.5})
    (paths.masks / "00000.png").unlink()
    assert "00000" not in UnfinishedMasks(paths)


def test_the_last_line_of_a_frame_counts(paths):
    for score in (0.25, 0.5):
        UnfinishedMasks(paths).write("00000", tiny_mask(0), {1: score})
    assert UnfinishedMasks(paths).confidence == {"00000": {1: 0.5}}


def test_frames_may_have_any_names(paths):
    UnfinishedMasks(paths).write('böar "7"', tiny_mask(0), {1: 0.5})
    assert 'böar "7"' in UnfinishedMasks(paths)


def test_sweeping_keeps_the_masks(paths):
    masks = UnfinishedMasks(paths)
    masks.write("00000", tiny_mask(0), {1: 0.5})
    (paths.masks / ".passes" / "00000001-backward").mkdir(parents=True)
    (paths.masks / ".passes" / "00000001-backward" / "00000001.png").write_bytes(b"soft")
    (paths.masks / ".dextr-vos-a1b2c3d4.png").write_bytes(b"half")
    masks.sweep()
    assert [path.name for path in paths.masks.iterdir()] == ["00000.png"]


@pytest.fixture
def masks(tmp_path):
    """The folder of a run that has masks."""
    return write_keyframes(tmp_path / "run" / "masks", 0, 1, 2, 3)


@pytest.mark.parametrize("workspace", [True, False])
def test_locked_masks_become_keyframes_unchanged(masks, tmp_path, workspace):
    folder = tmp_path / "work" / "keyframes" if workspace else tmp_path / "work"
    write_keyframes(folder, 0)
    assert lock_frames(masks.parent, ["00001", "00003", "00001"], tmp_path / "work") == [
        folder / "00001.png",
        folder / "00003.png",
    ]
    assert (folder / "00003.png").read_bytes() == (masks / "00003.png").read_bytes()


def test_keyframes_are_never_overwritten_and_all_frames_are_locked_or_none(masks, tmp_path):
    folder = write_keyframes(tmp_path / "work", 2)
    before = (folder / "00002.png").read_bytes()
    with pytest.raises(InputError, match=r"00002\.png is a keyframe already"):
        lock_frames(masks.parent, ["00001", "00002"], folder)
    with pytest.raises(InputError, match=r"no mask .*00009\.png; give names of frames"):
        lock_frames(masks.parent, ["00001", "00009"], folder)
    assert [path.name for path in folder.iterdir()] == ["00002.png"]
    assert (folder / "00002.png").read_bytes() == before


def test_a_frame_corrected_on_the_page_is_not_locked_without_its_correction(masks, tmp_path):
    work = tmp_path / "work"
    write_keyframes(work / "keyframes", 0)
    write_keyframes(work / "corrections", 1)
    with pytest.raises(InputError, match=r"'00001' was corrected on the page, .* K makes a keyframe of it"):
        lock_frames(masks.parent, ["00002", "00001"], work)
    assert [path.name for path in (work / "keyframes").iterdir()] == ["00000.png"]


def test_a_keyframe_of_another_format_is_one(masks, tmp_path):
    folder = write_keyframes(tmp_path / "work", 2)
    (folder / "00002.png").replace(folder / "00002.tif")
    with pytest.raises(InputError, match=r"00002\.tif is a keyframe already"):
        lock_frames(masks.parent, ["00002"], folder)


def test_a_missing_folder_is_described_and_not_made(masks, tmp_path):
    with pytest.raises(InputError, match=r"there is no workspace or folder of masks .*nowhere; give the one"):
        lock_frames(masks.parent, ["00001"], tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_what_somebody_put_among_the_masks_stays_when_they_are_replaced(run):
    run.paths.masks.mkdir()
    (run.paths.masks / "00001.png").write_bytes(b"old")
    (run.paths.masks / "notes.txt").write_text("mine")
    (run.paths.masks / "drawings").mkdir()
    (run.paths.masks / "drawings" / "00001.png").write_bytes(b"mine")
    run.finish(pending(run, "a" * 64, "00000"), RECORD, ["00000"])
    assert sorted(path.name for path in run.paths.masks.iterdir()) == ["00000.png", "drawings", "notes.txt"]
    assert (run.paths.masks / "drawings" / "00001.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "place", ["masks", f".next-{'a' * 16}", "run.json", f".next-{'a' * 16}/masks/00000.png"]
)
def test_a_link_in_a_run_is_refused_and_nothing_behind_it_is_touched(run, tmp_path, place):
    foreign, link = tmp_path / "foreign", run.paths.path / place
    foreign.mkdir()
    (foreign / "mine.png").write_bytes(b"mine")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(foreign)
    with (
        pytest.raises(InputError, match=r"is a symbolic link to .*; replace it by a copy, or remove it"),
        run.locked(),
    ):
        pytest.fail("nothing may be done here")
    assert [path.name for path in foreign.iterdir()] == ["mine.png"]
