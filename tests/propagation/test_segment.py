import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_PAPER, bytes_of, other_clip, stop_after, write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.masks import read_labels
from dextr_vos.propagation.keyframes import AnnotatedClip, keyframes_from_labels
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.postprocess import labels_of_probs
from dextr_vos.propagation.segment import segment_clip
from dextr_vos.propagation.settings import Callbacks
from dextr_vos.propagation.tracker import SequenceSegmenter
from dextr_vos.propagation.trained_network import TrainedNetwork
from dextr_vos.run_files import RunTraining

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

BOTH = pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=["lite", "paper"])
NAMES = [f"{index:05d}.png" for index in range(6)]


def two_objects(index):
    labels = tiny_mask(index)
    labels[24:] *= 7
    return labels


@pytest.fixture
def clip(tiny_clip):
    return open_clip(tiny_clip)


@pytest.fixture
def make(clip, tmp_path):
    """Makes a network of two objects, 1 and 7, as a run saves it, without training."""

    def trained(model=TINY_LITE):
        annotated = AnnotatedClip(clip, keyframes_from_labels({i: two_objects(i) for i in (0, 3)}, clip))
        plan = Plan(annotated, model, None)
        network = plan.start().eval()
        memory = model.propagator(network, model.recipe, annotated, CPU, tmp_path / "soft").memory()
        training = RunTraining(steps=0, stop="step limit", loss=0.0, seconds=0.0)
        return TrainedNetwork(network, plan.record(model.recipe, training, None), memory)

    return trained


def files_of(folder):
    return sorted(path.name for path in folder.glob("[!.]*"))


@BOTH
def test_frames_of_any_size_give_the_same_masks_every_time(make, model, tmp_path):
    trained = make(model)
    larger = open_clip(other_clip(tmp_path / "larger", 3, (97, 71)))
    for name in ("first", "again"):
        segment_clip(larger, trained, tmp_path / name, CPU)
    assert files_of(tmp_path / "first") == NAMES[:3]
    masks = np.stack([read_labels(tmp_path / "first" / name) for name in NAMES[:3]])
    assert masks.shape == (3, 71, 97)
    assert set(np.unique(masks)) <= {0, 1, 7}
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "again")


def test_paper_segments_each_frame_on_its_own(make, clip, tmp_path):
    trained = make(TINY_PAPER)
    segment_clip(clip, trained, tmp_path / "out", CPU)
    segmenter = TINY_PAPER.segmenter(trained.network, None, CPU)
    for index, name in enumerate(NAMES):
        expected = labels_of_probs(
            segmenter.segment(tiny_frame(index)), [1, 7], trained.record.min_component_share
        )
        assert np.array_equal(read_labels(tmp_path / "out" / name), expected)


def test_lite_begins_with_its_memory_and_tracks_from_frame_to_frame(make, clip, tmp_path):
    trained = make()
    segment_clip(clip, trained, tmp_path / "out", CPU)
    recipe = trained.recipe
    tracker = trained.model.tracker(trained.network, recipe.tracking, recipe.longest_side, CPU)
    memories = (trained.memory,) * len(recipe.tracking.crops.margins)
    segmenter = SequenceSegmenter(tracker, memories, (48, 64), 2)
    for index, name in enumerate(NAMES):
        expected = labels_of_probs(
            segmenter.segment(tiny_frame(index)), [1, 7], trained.record.min_component_share
        )
        assert np.array_equal(read_labels(tmp_path / "out" / name), expected)


def test_progress_is_reported_and_a_stop_keeps_what_is_done(make, clip, tmp_path):
    reported = []
    callbacks = Callbacks(on_frame=lambda *counts: reported.append(counts), stop_asked=stop_after(2))
    with pytest.raises(
        Interrupted, match=r"after 2 of 6 frames, their masks are in .*; the same command starts over"
    ):
        segment_clip(clip, make(), tmp_path / "out", CPU, callbacks)
    assert files_of(tmp_path / "out") == NAMES[:2]
    assert reported == [(1, 6), (2, 6)]


def test_frames_are_never_overwritten(make, clip, tiny_clip, tmp_path):
    before = bytes_of(tiny_clip)
    (tmp_path / "link").symlink_to(tiny_clip)
    (tmp_path / "run").mkdir()
    for folder in (tiny_clip, tmp_path / "run" / ".." / "tiny", tmp_path / "link"):
        with pytest.raises(InputError, match="is the folder of the frames"):
            segment_clip(clip, make(), folder, CPU)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file is a file"):
        segment_clip(clip, make(), tmp_path / "file", CPU)
    assert bytes_of(tiny_clip) == before


@pytest.mark.parametrize(("folder", "document"), [("masks", "run.json"), ("keyframes", "annotations.json")])
def test_masks_of_a_run_or_a_workspace_are_refused(make, clip, tmp_path, folder, document):
    before = bytes_of(write_keyframes(tmp_path / "work" / folder, 0))
    (tmp_path / "work" / document).write_text("{}")
    with pytest.raises(InputError, match="which would be lost"):
        segment_clip(clip, make(), tmp_path / "work" / folder, CPU)
    assert bytes_of(tmp_path / "work" / folder) == before


def test_own_masks_are_replaced_and_no_others(make, clip, tmp_path):
    mine = write_keyframes(tmp_path / "mine", 2)
    before = bytes_of(mine)
    with pytest.raises(InputError, match=r"mine holds 00002\.png, which dextr-vos segment did not make"):
        segment_clip(clip, make(), mine, CPU)
    assert bytes_of(mine) == before
    for _ in range(2):
        segment_clip(clip, make(), tmp_path / "out", CPU)
    assert files_of(tmp_path / "out") == NAMES
