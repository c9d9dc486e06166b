import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_run import (
    CPU,
    TINY_LITE,
    TINY_PAPER,
    TINY_POOL,
    WITHOUT_MASKS,
    bytes_of,
    finished_run,
    stop_after,
    write_keyframes,
)

from dextr_vos.clip import FolderClip, open_clip
from dextr_vos.errors import InputError, Interrupted, WeightsError
from dextr_vos.masks import looks_like_mask, read_labels, write_labels
from dextr_vos.networks import checkpoints
from dextr_vos.propagation import session
from dextr_vos.propagation.keyframes import AnnotatedClip, keyframes_from_labels, read_keyframes
from dextr_vos.propagation.models import LiteModel, PaperModel
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.propagate import propagate_to_run
from dextr_vos.propagation.run import RunFolder
from dextr_vos.propagation.session import propagate_frames, start_network
from dextr_vos.propagation.settings import Callbacks
from dextr_vos.propagation.trained_network import load_network
from dextr_vos.run_files import RunPaths, read_confidence, read_record

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

MODELS = pytest.mark.parametrize(
    "model", [TINY_LITE, TINY_POOL, TINY_PAPER], ids=["lite", "lite-pool", "paper"]
)
NAMES = [f"{index:05d}" for index in range(6)]


@pytest.fixture
def masks(tmp_path):
    return write_keyframes(tmp_path / "masks", 0, 3)


@pytest.fixture
def make(tiny_clip, masks):
    """Makes a plan from the files that are there, as a new command would."""

    def plan(model=TINY_LITE, parent=None, **options):
        clip = open_clip(tiny_clip)
        return Plan(AnnotatedClip(clip, read_keyframes(masks, clip)), model, parent, **options)

    return plan


@pytest.fixture
def parent(tmp_path):
    """A parent of each model."""

    def saved(model):
        path = tmp_path / f"{model.name}.safetensors"
        checkpoints.save(path, model.start(1, 5, None).state_dict())
        return path

    return saved


class Counts:
    """How often a run does what takes long; to be made before the clip is opened."""

    def __init__(self, monkeypatch):
        self.read, self.built, self.hashed = [], 0, []

        def read(clip, index, read=FolderClip.read):
            self.read.append(index)
            return read(clip, index)

        def file_digest(file, *rest, digest=hashlib.file_digest):
            self.hashed.append(file.name)
            return digest(file, *rest)

        monkeypatch.setattr(FolderClip, "read", read)
        monkeypatch.setattr(hashlib, "file_digest", file_digest)
        for model in (LiteModel, PaperModel):
            monkeypatch.setattr(model, "build", self._counted(model.build))

    def _counted(self, build):
        def counted(model, num_objects):
            self.built += 1
            return build(model, num_objects)

        return counted


@MODELS
def test_a_first_run_does_nothing_twice(make, parent, model, out, monkeypatch):
    path = parent(model)
    counts = Counts(monkeypatch)
    plan = make(model, path)
    propagate_to_run(plan, out, "cpu")
    assert counts.built == 1
    assert sorted(counts.hashed) == sorted(map(str, [plan.parent, *plan.annotated.clip.files]))
    # frames are still in memory when they are needed again; the first one also identifies the clip
    assert sorted(counts.read) == [0, *range(6)]


def test_frames_of_a_long_clip_are_read_once_for_cuts_and_once_a_pass_and_keyframes_once_a_phase(
    tmp_path, monkeypatch, parent, out
):
    (tmp_path / "long").mkdir()
    for index in range(30):
        Image.fromarray(tiny_frame(index % 6)).save(tmp_path / "long" / f"{index:05d}.png")
    clip = open_clip(tmp_path / "long")
    keyframes = keyframes_from_labels({index: tiny_mask(index % 6) for index in (0, 12, 29)}, clip)
    path = parent(TINY_LITE)
    counts = Counts(monkeypatch)
    plan = Plan(AnnotatedClip(clip, keyframes), TINY_LITE, path)
    propagate_to_run(plan, out, "cpu")
    between = [index for index in counts.read if index not in (0, 12, 29)]
    assert len(between) == 3 * 27
    assert {between.count(index) for index in between} == {3}
    # identity, cuts, fine-tuning, and one for the memory of each span
    assert len(counts.read) - len(between) <= 4 * 3


def test_a_finished_run_is_neither_trained_nor_segmented_again(make, out, monkeypatch):
    record = propagate_to_run(make(), out, "cpu")
    before = bytes_of(out / "masks")
    counts = Counts(monkeypatch)
    again = propagate_to_run(
        make(),
        out,
        "cpu",
        Callbacks(on_step=lambda *_: pytest.fail("trained"), on_frame=lambda *_: pytest.fail("segmented")),
    )
    assert again.model_dump_json() == record.model_dump_json()
    assert bytes_of(out / "masks") == before
    assert counts.built == 0
    assert sorted(counts.read) == [0, 0, 3]  # for the fingerprint and the identity of the clip


def test_a_new_name_of_an_object_reaches_a_finished_run_and_a_part_of_it(make, out):
    propagate_to_run(make(frames=frozenset([1])), out, "cpu")
    callbacks = Callbacks(on_step=lambda *_: pytest.fail("trained"))
    for name, frames in (("boar", frozenset([1])), ("dog", frozenset([1, 2]))):
        record = propagate_to_run(make(object_names={1: name}, frames=frames), out, "cpu", callbacks)
        assert [entry.name for entry in record.objects] == [name]
        assert read_record(RunPaths(out).record) == record


@MODELS
def test_in_memory_and_on_disk_the_results_are_the_same_to_the_bit(make, parent, model, out):
    propagate_to_run(make(model, parent(model)), out, "cpu")
    frames = list(propagate_frames(make(model, parent(model)), CPU))
    assert [frame.index for frame in frames] == list(range(6))
    scores = read_confidence(RunPaths(out).confidence)
    for frame in frames:
        assert np.array_equal(frame.labels, read_labels(RunPaths(out).mask(NAMES[frame.index])))
        assert frame.confidence == scores[NAMES[frame.index]]
        assert frame.is_keyframe == (frame.index in (0, 3))


def test_a_run_holds_the_network_and_what_made_it(make, out):
    record = propagate_to_run(make(seed=3), out, "cpu")
    trained = load_network(out)
    # the network does not know its masks
    assert trained.record == record.model_copy(update=WITHOUT_MASKS)
    assert trained.recipe == TINY_LITE.recipe.for_keyframes(2)
    assert trained.memory is not None
    assert (record.training.steps, record.training.stop, record.seed) == (8, "step limit", 3)
    assert set(record.training.keyframe_iou) == {1}
    assert not RunPaths(out).checkpoint.exists()
    assert not RunPaths(out).all_pending()


def test_masks_of_a_run_have_one_form_and_keyframes_of_it_are_copied_byte_for_byte(make, masks, out):
    copied = bytes_of(masks)
    Image.fromarray(tiny_mask(4) * 255).save(masks / "00004.TIF")
    propagate_to_run(make(), out, "cpu")
    assert {name: (out / "masks" / name).read_bytes() for name in copied} == copied
    assert (read_labels(out / "masks" / "00004.png") == tiny_mask(4)).all()
    assert all(looks_like_mask(path) for path in (out / "masks").glob("*.png"))


@pytest.mark.parametrize("stop_at", [0, 3, 9, 13])
def test_a_stopped_run_resumes_and_ends_the_same(make, tiny_clip, masks, tmp_path, stop_at):
    finished_run(tiny_clip, masks, tmp_path / "whole")
    steps, frames = [], []
    callbacks = Callbacks(
        on_step=lambda step, *_: steps.append(step), on_frame=lambda done, _: frames.append(done)
    )
    with pytest.raises(Interrupted, match="the same command"):
        propagate_to_run(make(), tmp_path / "run", "cpu", replace(callbacks, stop_asked=stop_after(stop_at)))
    assert not (tmp_path / "run" / "masks").exists()  # a run is there whole or not at all
    propagate_to_run(make(), tmp_path / "run", "cpu", callbacks)
    assert steps == list(range(1, 9))
    assert bytes_of(tmp_path / "run" / "masks") == bytes_of(tmp_path / "whole" / "masks")
    one, other = (load_network(tmp_path / name).network.state_dict() for name in ("run", "whole"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_correction_continues_and_keeps_the_masks_it_does_not_touch(make, masks, out):
    first = propagate_to_run(make(), out, "cpu")
    before = bytes_of(out / "masks")
    write_labels(masks / "00005.png", tiny_mask(5))
    steps = []
    corrected = propagate_to_run(make(), out, "cpu", Callbacks(on_step=lambda step, *_: steps.append(step)))
    assert steps == [1, 2, 3]  # correction_steps
    assert corrected.continued_from == first.fingerprint
    after = bytes_of(out / "masks")
    assert all(after[f"{name}.png"] == before[f"{name}.png"] for name in ("00000", "00001", "00002", "00003"))
    assert after["00005.png"] == (masks / "00005.png").read_bytes()
    fresh = propagate_to_run(make(fresh=True), out, "cpu")
    assert (fresh.continued_from, fresh.training.steps) == (None, 8)
    assert fresh.fingerprint == corrected.fingerprint


def test_a_network_of_one_output_an_object_does_not_continue_with_another_object(make, masks, out):
    propagate_to_run(make(TINY_PAPER), out, "cpu")
    write_labels(masks / "00003.png", 2 * tiny_mask(3))
    assert propagate_to_run(make(TINY_PAPER), out, "cpu").continued_from is None
    assert load_network(out).object_ids == [1, 2]


def test_weights_are_interpolated_with_the_parent(make, parent):
    path = parent(TINY_LITE)
    before = checkpoints.read_state_dict(path)

    def network(alpha, folder):
        recipe = replace(TINY_LITE.recipe, alpha=alpha)
        record = propagate_to_run(make(replace(TINY_LITE, recipe=recipe), path), folder, "cpu")
        assert record.training.alpha == ((1 + alpha) / 2 if alpha else 0)  # as there are two keyframes
        return record, load_network(folder).network.state_dict()

    folder = path.parent
    (_, whole), (_, part), (untrained, none) = (
        network(alpha, folder / f"run-{alpha}") for alpha in (1.0, 0.5, 0.0)
    )
    assert untrained.training.steps == 0  # what would be thrown away is not learned
    assert all(torch.equal(none[key], before[key]) for key in before)
    assert any(not torch.equal(whole[key], before[key]) for key in before)
    for key in before:
        if before[key].is_floating_point():
            mixed = 0.25 * before[key] + 0.75 * whole[key]
            assert torch.allclose(part[key], mixed, atol=1e-6), key


def test_an_estimate_is_given_before_the_training(make, out):
    calls = []
    callbacks = Callbacks(
        on_estimate=lambda estimate: calls.append(estimate), on_step=lambda step, *_: calls.append(step)
    )
    propagate_to_run(make(), out, "cpu", callbacks)
    estimate, *steps = calls
    assert steps == list(range(1, 9))
    assert (estimate.steps, estimate.frames) == (8, 2 * 2 + 2)
    assert estimate.training_s > 0
    assert estimate.segmenting_s > 0


@pytest.mark.parametrize(("frame_s", "steps"), [(1e6, 0), (0.01, 8)])
def test_a_budget_limits_the_training(make, out, monkeypatch, frame_s, steps):
    monkeypatch.setattr(session, "seconds_a_step", lambda *_: 0.01)
    monkeypatch.setattr(session, "seconds_a_frame", lambda *_: frame_s)
    record = propagate_to_run(make(budget_s=600.0), out, "cpu")
    assert (record.training.steps, record.longest_side) == (steps, TINY_LITE.recipe.longest_side)
    assert record.settings["longest_side"] == record.longest_side


def test_measuring_changes_no_result(make, tiny_clip, masks, tmp_path):
    finished_run(tiny_clip, masks, tmp_path / "plain")
    propagate_to_run(make(), tmp_path / "measured", "cpu", Callbacks(on_estimate=lambda _: None))
    assert bytes_of(tmp_path / "plain" / "masks") == bytes_of(tmp_path / "measured" / "masks")


def test_without_a_parent_the_encoder_is_trained_though_there_is_a_pool(make, parent, out, tmp_path):
    def encoder(plan, folder):
        propagate_to_run(plan, folder, "cpu")
        before, after = start_network(plan).state_dict(), load_network(folder).network.state_dict()
        weights = [key for key in before if key.startswith("encoder.") and key.endswith(".weight")]
        return any(not torch.equal(before[key], after[key]) for key in weights)

    model = replace(TINY_POOL, recipe=replace(TINY_POOL.recipe, alpha=1.0))
    assert encoder(make(model), out)
    assert not encoder(make(model, parent(model)), tmp_path / "frozen")


def test_nothing_is_written_where_the_parent_does_not_fit(make, parent, out):
    with pytest.raises(WeightsError, match="does not fit the network"):
        propagate_to_run(make(parent=parent(TINY_PAPER)), out, "cpu")
    assert not out.exists()


@pytest.mark.parametrize("in_memory", [True, False])
def test_frames_too_small_for_the_network_are_refused(tmp_path, out, in_memory):
    (tmp_path / "thin").mkdir()
    Image.fromarray(tiny_frame(0)[:15]).save(tmp_path / "thin" / "00000.png")
    clip = open_clip(tmp_path / "thin")
    plan = Plan(AnnotatedClip(clip, keyframes_from_labels({0: tiny_mask(0)[14:29]}, clip)), TINY_LITE, None)
    with pytest.raises(InputError, match="are 64×15 pixels, expected at least 16 a side"):
        list(propagate_frames(plan, CPU)) if in_memory else propagate_to_run(plan, out, "cpu")
    assert not out.exists()


def test_in_memory_a_stop_is_an_interruption_and_no_file_is_left(make, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    for calls in (3, 10):
        with pytest.raises(Interrupted):
            list(propagate_frames(make(), CPU, Callbacks(stop_asked=stop_after(calls))))
    frames = propagate_frames(make(), CPU)
    next(frames)
    frames.close()  # as a caller who needs no more
    assert not list((tmp_path / "temporary").iterdir())


def test_a_folder_in_use_is_refused(make, out):
    with (
        RunFolder(out).locked(),
        pytest.raises(InputError, match="is in use by process"),
    ):
        propagate_to_run(make(), out, "cpu")


def test_one_keyframe_and_all_keyframes(make, masks, out, tmp_path):
    (masks / "00003.png").unlink()
    propagate_to_run(make(), out, "cpu")
    assert [path.name for path in sorted((out / "masks").iterdir())] == [f"{name}.png" for name in NAMES]
    write_keyframes(masks, *range(6))
    propagate_to_run(make(), tmp_path / "all", "cpu")
    assert bytes_of(tmp_path / "all" / "masks") == bytes_of(masks)
