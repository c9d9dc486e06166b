from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_PAPER, bytes_of, other_clip, stop_after, write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError, Interrupted, WeightsError
from dextr_vos.masks import read_labels
from dextr_vos.networks import checkpoints
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.lite_tracker import Memory
from dextr_vos.propagation.keyframes import AnnotatedClip, keyframes_from_labels
from dextr_vos.propagation.models import LITE, PAPER
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.postprocess import labels_of_probs
from dextr_vos.propagation.run import network_record
from dextr_vos.propagation.session import start_network
from dextr_vos.propagation.settings import Callbacks
from dextr_vos.propagation.tracker import SequenceSegmenter
from dextr_vos.propagation.trained_network import TrainedNetwork, load_network, save_network, segment_clip
from dextr_vos.run_files import RunClip, RunObject, RunPaths, RunRecord, RunTraining
from dextr_vos.workspace import Workspace

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
def paths(tmp_path):
    """A run with a network that is saved, and nothing else."""
    paths = RunPaths(tmp_path / "run")
    paths.path.mkdir()
    save_network(paths.network, TrainedNetwork(LITE.start(2, 0, None), RECORD))
    return paths


@pytest.mark.parametrize(("model", "objects"), [(LITE, 2), (PAPER, 2)], ids=["lite", "paper"])
def test_a_network_comes_back_ready_to_use(tmp_path, model, objects):
    record = RECORD.model_copy(update={"model": model.name, "settings": model.recipe.as_dict()})
    path = RunPaths(tmp_path).network
    save_network(path, TrainedNetwork(model.start(objects, 0, None), record))
    expected = model.start(objects, 0, None).state_dict()
    for place in (tmp_path, path):
        trained = load_network(place)
        assert not trained.network.training
        assert (trained.model, trained.recipe, trained.object_ids) == (model, model.recipe, [1, 3])
        assert trained.record.model_dump_json() == record.model_dump_json()
        assert trained.memory is None
        state = trained.network.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in state.items())
    assert network_record(path).model_dump_json() == record.model_dump_json()


def test_a_fine_tuned_network_goes_on_with_small_steps(paths):
    random, trained = LITE.start(1, 0, None), load_network(paths.network).network
    rates = [LITE.optimizer(network).param_groups[0]["lr"] for network in (random, trained)]
    assert rates[1] < rates[0]


def test_the_recipe_is_that_of_the_record(tmp_path):
    recipe = replace(LITE.recipe, longest_side=320, max_steps=3)
    record = RECORD.model_copy(update={"settings": recipe.as_dict()})
    save_network(tmp_path / "n.safetensors", TrainedNetwork(LITE.start(2, 0, None), record))
    assert load_network(tmp_path / "n.safetensors").recipe == recipe


@pytest.mark.parametrize("settings", [{}, {"longest_side": 480}, {"following": {"memories": 4}}])
def test_settings_of_another_version_are_refused_in_a_sentence(tmp_path, settings):
    record = RECORD.model_copy(update={"settings": settings})
    save_network(tmp_path / "n.safetensors", TrainedNetwork(LITE.start(2, 0, None), record))
    trained = load_network(tmp_path / "n.safetensors")
    with pytest.raises(WeightsError, match="another version of dextr-vos; run dextr-vos propagate again"):
        assert trained.recipe


def test_a_path_without_network_is_described(tmp_path):
    for path, words in ((tmp_path, "holds no finished run"), (tmp_path / "nowhere", "there is no folder")):
        with pytest.raises(InputError, match=f"{words}.* of a finished propagate"):
            load_network(path)


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_a_truncated_network_is_described(paths, keep):
    paths.network.write_bytes(paths.network.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"network\.safetensors"):
        load_network(paths.path)


@pytest.mark.parametrize("metadata", [{}, {"record": ""}, {"record": "{}"}, {"record": "[1]"}])
def test_a_network_without_its_record_is_described(paths, metadata):
    checkpoints.save(paths.network, LITE.build(1).state_dict(), metadata)
    with pytest.raises(WeightsError, match="was not saved by this version of dextr-vos propagate"):
        load_network(paths.path)


def test_a_record_that_does_not_fit_its_network_is_described(paths):
    record = RECORD.model_copy(update={"model": "paper"})
    save_network(paths.network, TrainedNetwork(PAPER.start(1, 0, None), record))
    with pytest.raises(WeightsError, match=r"of another shape"):
        load_network(paths.path)


def test_a_record_of_an_unknown_model_is_described(paths):
    record = RECORD.model_copy(update={"model": "large"})
    save_network(paths.network, TrainedNetwork(LITE.start(1, 0, None), record))
    with pytest.raises(InputError, match="unknown model 'large'; expected one of lite, paper"):
        load_network(paths.path)


def test_the_memory_of_a_network_comes_back_with_it(paths):
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, 64, 7), (1, 2, 7), (1, 7), (1, 2, 3, 2, 256))
    memory = Memory(*(torch.rand(shape, generator=generator) for shape in shapes))
    save_network(paths.network, TrainedNetwork(LITE.start(2, 0, None), RECORD, memory))
    trained = load_network(paths.path)
    for name, other in vars(memory).items():
        one = getattr(trained.memory, name)
        assert one.dtype == torch.float32
        assert torch.allclose(one, other, atol=1e-3)
    expected = LITE.start(2, 0, None).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in trained.network.state_dict().items())


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
        network = start_network(plan).eval()
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


def test_a_workspace_and_the_folder_of_the_clips_are_refused(make, clip, tmp_path):
    workspace = Workspace(tmp_path / "work")
    workspace.write_settings(clip)
    before = bytes_of(workspace.path)
    with pytest.raises(
        InputError, match=r"work is a workspace; give a folder for the masks, such as results/"
    ):
        segment_clip(clip, make(), workspace.path, CPU)
    assert bytes_of(workspace.path) == before
    files = sorted(clip.path.parent.iterdir())
    with pytest.raises(InputError, match=r"is the folder that the clip .* is in; give a folder for"):
        segment_clip(clip, make(), clip.path.parent, CPU)
    assert sorted(clip.path.parent.iterdir()) == files


def test_own_masks_are_replaced_and_no_others(make, clip, tmp_path):
    mine = write_keyframes(tmp_path / "mine", 2)
    before = bytes_of(mine)
    with pytest.raises(InputError, match=r"mine holds 00002\.png, which dextr-vos segment did not make"):
        segment_clip(clip, make(), mine, CPU)
    assert bytes_of(mine) == before
    for _ in range(2):
        segment_clip(clip, make(), tmp_path / "out", CPU)
    assert files_of(tmp_path / "out") == NAMES


def test_a_network_of_an_earlier_version_is_refused_in_one_sentence(paths):
    state = checkpoints.read_state_dict(paths.network)
    record = read_metadata(paths.network)
    old = {"memory.keys": torch.zeros(1, 64, 5), "memory.masks": torch.zeros(1, 2, 5)}
    checkpoints.save(paths.network, state | old, record)
    with pytest.raises(WeightsError, match="earlier version of dextr-vos; run dextr-vos propagate again"):
        load_network(paths.network)
