import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_mask
from PIL import Image
from safetensors.torch import load_file
from tiny_run import (
    CPU,
    NAMES,
    TINY_LITE,
    TINY_PAPER,
    WITHOUT_MASKS,
    Squares,
    bytes_of,
    finished_run,
    other_clip,
    refuse,
    stop_after,
    train,
    write_keyframes,
)

from dextr_vos.annotation.annotate import annotate
from dextr_vos.annotation.annotations import annotations_from
from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError, Interrupted, WeightsError
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.networks import checkpoints as weights
from dextr_vos.propagation import bidirectional as stage
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.run import RunFolder
from dextr_vos.propagation.trained_network import load_network, segment_clip
from dextr_vos.run_files import read_record
from dextr_vos.workspace import Workspace

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")
FILES = ["confidence.json", "masks", "network.safetensors", "run.json"]


@pytest.fixture
def keyframes(tmp_path):
    return write_keyframes(tmp_path / "keyframes", 0, 3, white=True)


def files_of(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_a_run_has_every_mask_and_copies_its_keyframes(tiny_clip, keyframes, out):
    record = train(tiny_clip, keyframes, out)
    assert files_of(out) == FILES
    assert sorted(bytes_of(out / "masks")) == NAMES
    for name in bytes_of(keyframes):
        assert np.array_equal(read_labels(out / "masks" / name), read_labels(keyframes / name))
    for name in NAMES:  # the keyframes too, which are {0, 255}
        with Image.open(out / "masks" / name) as mask:
            assert mask.mode == "P"
    assert set(np.unique(read_labels(out / "masks" / "00001.png", (48, 64)))) <= {0, 1}
    assert read_record(out / "run.json") == record
    assert load_network(out).record == record.model_copy(update=WITHOUT_MASKS)
    assert (record.keyframes, record.training.stop, record.training.steps) == (
        ("00000", "00003"),
        "step limit",
        8,
    )


def test_it_learns_the_object(tiny_clip, keyframes, out):
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, max_steps=40, cooldown=10))
    train(tiny_clip, keyframes, out, model)
    for index in (1, 5):
        found, truth = read_labels(out / "masks" / NAMES[index]) == 1, tiny_mask(index) == 1
        assert (found & truth).sum() / (found | truth).sum() > 0.6


def test_same_seed_same_masks_and_another_seed_another_network(tiny_clip, keyframes, tmp_path):
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        train(tiny_clip, keyframes, tmp_path / name, seed=seed)
    assert bytes_of(tmp_path / "first" / "masks") == bytes_of(tmp_path / "again" / "masks")
    first, other = (load_file(tmp_path / name / "network.safetensors") for name in ("first", "other"))
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_a_finished_run_is_not_repeated(tiny_clip, keyframes, out):
    record = finished_run(tiny_clip, keyframes, out)
    results = [path for path in out.rglob("*") if path.name not in ("run.json", ".lock")]
    before = {path: path.stat().st_mtime_ns for path in results}
    assert train(tiny_clip, keyframes, out, on_step=refuse, on_frame=refuse) == record
    assert before == {path: path.stat().st_mtime_ns for path in results}


def test_missing_masks_are_made_again_without_training(tiny_clip, keyframes, out):
    finished_run(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    for name in ("00001.png", "00003.png"):
        (out / "masks" / name).unlink()
    train(tiny_clip, keyframes, out, on_step=refuse)
    assert bytes_of(out / "masks") == before


@pytest.mark.parametrize("stop_at", [3, 8 + 2])
def test_an_interrupted_run_ends_with_the_same_masks(tiny_clip, keyframes, tmp_path, stop_at):
    finished_run(tiny_clip, keyframes, tmp_path / "whole")
    out = tmp_path / "stopped"
    with pytest.raises(Interrupted, match="the same command continues from there"):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(stop_at))
    assert not (out / "masks").exists()
    steps, frames = [], []
    train(
        tiny_clip,
        keyframes,
        out,
        on_step=lambda step, *_: steps.append(step),
        on_frame=lambda frame, _: frames.append(frame),
    )
    assert steps == list(range(4, 9)) if stop_at == 3 else steps == []
    assert bytes_of(out / "masks") == bytes_of(tmp_path / "whole" / "masks")
    assert files_of(out) == FILES


def test_masks_made_before_a_stop_are_not_made_again(tiny_clip, keyframes, out, monkeypatch):
    # 0 and 3 are keyframes; 1 and 2 take a pass from each, 4 and 5 one alone: 8 in all
    with pytest.raises(Interrupted, match="after 4 of 8 steps"):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(8 + 2))
    made = []
    original = stage.Tracker.segment
    monkeypatch.setattr(stage.Tracker, "segment", lambda *args: made.append(1) or original(*args))
    train(tiny_clip, keyframes, out)
    assert len(made) == 3  # both frames of the pass back and the first of the pass forth were there


def test_keyframes_changed_back_and_forth_never_mix_masks(tiny_clip, keyframes, tmp_path):
    finished_run(tiny_clip, keyframes, tmp_path / "clean")
    out = tmp_path / "run"
    more = write_keyframes(tmp_path / "more", 0, 3, 5)
    with pytest.raises(Interrupted):
        train(tiny_clip, more, out, stop_asked=stop_after(8 + 4))
    train(tiny_clip, keyframes, out)
    assert bytes_of(out / "masks") == bytes_of(tmp_path / "clean" / "masks")
    assert files_of(out) == FILES


@pytest.mark.parametrize("change", ["seed", "max_steps", "parent", "model"])
def test_whatever_determines_the_network_trains_again(tiny_clip, keyframes, out, tmp_path, change):
    old = finished_run(tiny_clip, keyframes, out)
    weights.save(tmp_path / "parent.safetensors", LITE.build(1).state_dict())
    options = {
        "seed": {"seed": 1},
        "max_steps": {"max_steps": 6},
        "parent": {"parent": tmp_path / "parent.safetensors"},
        "model": {"model": TINY_PAPER},
    }
    steps = []
    new = train(tiny_clip, keyframes, out, on_step=lambda step, *_: steps.append(step), **options[change])
    assert steps[0] == 1
    assert new.fingerprint != old.fingerprint
    assert files_of(out) == FILES


def test_names_of_objects_come_from_the_workspace(tiny_clip, tmp_path, out):
    clip = open_clip(tiny_clip)
    annotations = annotations_from({"00000": {1: np.array([[8, 20], [25, 20], [16, 14], [16, 33]])}}, "human")
    workspace = Workspace(tmp_path / "work")
    annotate(clip, annotations, Squares(), workspace)
    assert [entry.name for entry in train(tiny_clip, workspace.path, out).objects] == ["object 1"]


def test_a_damaged_workspace_is_reported_before_the_training(tiny_clip, tmp_path, out):
    write_keyframes(tmp_path / "work" / "keyframes", 0)
    (tmp_path / "work" / "annotations.json").write_text("{")
    with pytest.raises(InputError, match=r"annotations\.json is not valid JSON"):
        train(tiny_clip, tmp_path / "work", out, on_step=refuse)
    assert not out.exists()


def test_masks_of_a_run_are_no_keyframes_for_it(tiny_clip, keyframes, out):
    finished_run(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    with pytest.raises(InputError, match=r"in .*run/masks, which this run would replace; copy them"):
        train(tiny_clip, out / "masks", out)
    write_keyframes(out / "masks" / "mine", 0)
    with pytest.raises(InputError, match="which this run would replace"):
        train(tiny_clip, out / "masks" / "mine", out)
    shutil.rmtree(out / "masks" / "mine")
    assert bytes_of(out / "masks") == before
    train(tiny_clip, out / "masks", out.parent / "second")  # for another run they are


def test_a_folder_of_masks_that_is_no_run_is_left_alone(tiny_clip, keyframes, tmp_path):
    truth = write_keyframes(tmp_path / "data" / "masks", 0, 1, 2)
    before = bytes_of(truth)
    with pytest.raises(InputError, match=r"data/masks is there, and dextr-vos propagate did not make it"):
        train(tiny_clip, keyframes, tmp_path / "data", on_step=refuse)
    assert bytes_of(truth) == before


@pytest.mark.parametrize(("count", "size"), [(5, (64, 48)), (6, (96, 72)), (6, (64, 48))])
def test_a_run_on_another_clip_is_refused(tiny_clip, keyframes, out, tmp_path, count, size):
    finished_run(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    other = other_clip(tmp_path / "other", count, size)
    folder = tmp_path / "others masks"
    folder.mkdir()
    Image.fromarray(tiny_mask(0)).resize(size, Image.Resampling.NEAREST).save(folder / NAMES[0])
    with pytest.raises(InputError, match=r"holds a run on .*tiny \(6 frames of 64×48\), not on .*other"):
        train(other, folder, out, on_step=refuse)
    assert bytes_of(out / "masks") == before


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"version": 2}'])
def test_a_damaged_record_is_reported(tiny_clip, keyframes, out, content):
    finished_run(tiny_clip, keyframes, out)
    (out / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        train(tiny_clip, keyframes, out)


@pytest.mark.parametrize("keep", [0, 20, 3000, -1])
def test_a_damaged_network_is_trained_again(tiny_clip, keyframes, out, caplog, keep):
    finished_run(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    network = out / "network.safetensors"
    network.write_bytes(network.read_bytes()[:keep])
    with caplog.at_level(logging.INFO):
        train(tiny_clip, keyframes, out)
    assert "network.safetensors is damaged; training starts again" in caplog.text
    assert bytes_of(out / "masks") == before


def test_a_damaged_checkpoint_is_no_obstacle(tiny_clip, keyframes, out, tmp_path):
    finished_run(tiny_clip, keyframes, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(4))
    (out / "training.pt").write_bytes(b"PK\x03\x04 nothing more")
    train(tiny_clip, keyframes, out)
    assert bytes_of(out / "masks") == bytes_of(tmp_path / "whole" / "masks")
    assert files_of(out) == FILES


def test_what_a_killed_run_left_half_written_is_removed(tiny_clip, keyframes, out):
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, stop_asked=stop_after(8 + 2))
    (unfinished,) = out.glob(".next-*")
    (unfinished / "masks" / ".dextr-vos-a1b2c3d4").write_bytes(b"half")
    (out / ".dextr-vos-a1b2c3d4").write_bytes(b"half")
    train(tiny_clip, keyframes, out)
    assert files_of(out) == FILES
    assert files_of(out / "masks") == NAMES


@pytest.mark.parametrize("objects", [1, 2])
def test_a_parent_starts_the_training(tiny_clip, tmp_path, out, objects):
    folder = tmp_path / "masks"
    folder.mkdir()
    labels = tiny_mask(0)
    labels[24:] *= objects
    write_labels(folder / NAMES[0], labels)
    parent = tmp_path / "parent.safetensors"
    weights.save(parent, LITE.build(1).state_dict())
    record = train(tiny_clip, folder, out, parent=parent)
    assert record.parent == str(parent.resolve())
    assert len(record.objects) == objects


def test_unfit_parents_are_reported_and_leave_nothing(tiny_clip, keyframes, out, tmp_path):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth does not fit the network LiteTracker"):
        train(tiny_clip, keyframes, out, parent=tmp_path / "other.pth")
    with pytest.raises(InputError, match="there is no checkpoint"):
        train(tiny_clip, keyframes, out, parent=tmp_path)
    assert not out.exists()


def test_osvos_runs_all_stages(tiny_clip, keyframes, out):
    record = train(tiny_clip, keyframes, out, TINY_PAPER)
    assert (record.model, record.training.steps, record.longest_side) == ("paper", 2, None)
    assert files_of(out / "masks") == NAMES
    clip = open_clip(tiny_clip)
    segment_clip(clip, load_network(out), out.parent / "applied", CPU)
    applied, masks = bytes_of(out.parent / "applied"), bytes_of(out / "masks")
    assert all(applied[name] == masks[name] for name in ("00001.png", "00002.png", "00004.png"))


def test_faults_of_the_out_folder(tiny_clip, keyframes, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file is a file; expected a folder"):
        train(tiny_clip, keyframes, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_two_processes_cannot_work_in_one_run(tiny_clip, keyframes, out):
    with (
        RunFolder(out).locked(),
        pytest.raises(InputError, match=r"is in use by process \d+ on "),
    ):
        train(tiny_clip, keyframes, out)
    train(tiny_clip, keyframes, out)


def test_a_keyframes_image_replaced_in_place_is_learned_again(tiny_clip, keyframes, out):
    first = finished_run(tiny_clip, keyframes, out)
    image = np.asarray(Image.open(tiny_clip / "00003.png"))
    Image.fromarray(255 - image).save(tiny_clip / "00003.png")
    steps = []
    second = train(tiny_clip, keyframes, out, on_step=lambda step, *_: steps.append(step))
    assert second.fingerprint != first.fingerprint
    assert steps


def test_a_moved_clip_is_the_same_clip(tiny_clip, keyframes, out):
    finished_run(tiny_clip, keyframes, out)
    moved = tiny_clip.rename(tiny_clip.with_name("elsewhere"))
    train(moved, keyframes, out, on_step=refuse, on_frame=refuse)
