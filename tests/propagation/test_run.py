import numpy as np
import pytest
import torch

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.masks import write_labels
from dextr_vos.networks import checkpoints as weights
from dextr_vos.networks.lite_tracker import Memory
from dextr_vos.propagation.models import LITE, OSVOS, build_network
from dextr_vos.propagation.run import RunFolder, network_record
from dextr_vos.propagation.trained_network import load_network, save_network
from dextr_vos.run_files import (
    RunClip,
    RunObject,
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
    run = RunFolder(tmp_path / "run")
    save_network(run.network, build_network(LITE, 2, 0), RECORD)
    write_record(run.record, RECORD)
    return run


def test_record_comes_back_from_both_files(run):
    assert read_record(run.record).model_dump_json() == RECORD.model_dump_json()
    assert network_record(run.network).model_dump_json() == RECORD.model_dump_json()


def test_network_comes_back_ready_to_use(run):
    for path in (run.path, run.network):
        trained = load_network(path)
        assert not trained.network.training
        assert (trained.model, trained.numbers) == (LITE, [1, 3])
        expected = build_network(LITE, 2, 0).state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in trained.network.state_dict().items())


def test_a_run_of_before_is_followed_as_it_was(tmp_path):
    """Its frames had one look, of one margin."""
    zoom = {"margin": 2.0, "least": 0.25, "enlarge": 1.2}
    settings = RECORD.settings | {"following": RECORD.settings["following"] | {"zoom": zoom}}
    path = tmp_path / "network.safetensors"
    save_network(path, build_network(LITE, 2, 0), RECORD.model_copy(update={"settings": settings}))
    assert load_network(path).following.zoom.margins == (2.0,)


def test_a_path_without_network_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"there is no trained network .*train-propagation"):
            load_network(path)


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_a_network_cut_off_is_told(run, keep):
    run.network.write_bytes(run.network.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"network\.safetensors"):
        load_network(run.path)


@pytest.mark.parametrize("metadata", [{}, {"record": ""}, {"record": "{}"}, {"record": "[1]"}])
def test_a_network_without_its_record_is_told(run, metadata):
    weights.save(run.network, LITE.build(1).state_dict(), metadata)
    with pytest.raises(WeightsError, match="not a network saved by train-propagation"):
        load_network(run.path)


def test_a_record_that_does_not_fit_its_network_is_told(run):
    record = RECORD.model_copy(update={"model": "osvos"})
    save_network(run.network, build_network(OSVOS, 1, 0), record)
    with pytest.raises(WeightsError, match=r"of another shape"):
        load_network(run.path)


def attempt(run, fingerprint, *names):
    made = run.attempt(fingerprint, None)
    for name in names:
        made.masks.write(name, np.zeros((2, 2), np.uint8), {1: 0.5})
    return made


def test_finished_masks_replace_older_ones_whole(run):
    run.masks.mkdir()
    (run.masks / "00009.png").write_bytes(b"old")
    write_confidence(run.confidence, {"00009": {1: 0.1}})
    mine = attempt(run, "a" * 64, "00001", "00000")
    attempt(run, "b" * 64, "00000")
    record = RECORD.model_copy(update={"seed": 77})
    save_network(mine.network, build_network(LITE, 1, 0), record)
    run.finish(mine, record, ["00000", "00001"])
    assert sorted(path.name for path in run.masks.iterdir()) == ["00000.png", "00001.png"]
    assert list(read_confidence(run.confidence)) == ["00000", "00001"]
    assert read_record(run.record).seed == load_network(run.path).record.seed == 77
    assert sorted(path.name for path in run.path.iterdir()) == [
        *("confidence.json", "masks", "network.safetensors", "run.json")
    ]


def test_the_same_keyframes_after_other_networks_are_other_attempts(run):
    folders = {run.attempt(mark, start).folder for mark in ("a", "b") for start in (None, "x", "y")}
    assert len(folders) == 6


def test_what_killed_writers_left_is_removed_and_nothing_else(run):
    made = attempt(run, "a" * 64, "00003")
    rubbish = [
        made.masks.folder / ".00003.x1y2.png",
        run.path / ".training.x.pt",
        run.path / ".network.y.safetensors",
        run.path / ".run.z.json",
        run.path / ".confidence.z.json",
    ]
    kept = [run.path / ".hidden", run.path / "notes.pt"]
    for path in rubbish + kept:
        path.write_bytes(b"x")
    run.finish(made, RECORD, ["00003"])
    assert not [path.name for path in rubbish if path.exists()]
    assert [path.name for path in run.masks.iterdir()] == ["00003.png"]
    assert all(path.exists() for path in (*kept, run.network, run.record))


@pytest.mark.parametrize("gone", ["record", "network", None])
def test_a_run_is_finished_when_all_of_it_is_there(run, gone):
    if gone is not None:
        getattr(run, gone).unlink()
    assert (run.finished() is None) == (gone is not None)


def test_a_run_whose_network_is_broken_is_not_finished(run):
    run.masks.mkdir()
    assert run.finished() is not None
    run.network.write_bytes(run.network.read_bytes()[:500])
    assert run.finished() is None


@pytest.fixture
def clip(tiny_clip):
    return open_clip(tiny_clip)


def recorded(**digests):
    """A record with keyframes and the digests of their masks: `k0="a"` is frame 00000."""
    by_name = {f"{int(key[1:]):05d}": digest for key, digest in digests.items()}
    return RECORD.model_copy(update={"keyframes": tuple(sorted(by_name)), "keyframe_digests": by_name})


EARLIER = recorded(k0="a", k3="b")


@pytest.mark.parametrize(
    ("now", "kept"),
    [
        (recorded(k0="a", k3="b"), [1, 2, 4, 5]),
        (recorded(k0="x", k3="b"), [4, 5]),
        (recorded(k0="a", k3="x"), []),
        (recorded(k0="b", k3="a"), []),
        (recorded(k0="a", k3="b", k5="c"), [1, 2]),
        (recorded(k0="a", k1="c", k3="b"), [4, 5]),
        (recorded(k0="a"), []),
        (recorded(k3="b"), [4, 5]),
        (recorded(k0="a", k2="b"), []),  # the same mask, but of another frame
    ],
)
def test_masks_stay_where_both_keyframes_did(run, clip, now, kept):
    for index in (1, 2, 4, 5):
        write_labels(run.masks / f"{index:05d}.png", np.zeros((48, 64), np.uint8))
    write_confidence(run.confidence, {name: {1: 0.25} for name in clip.names})
    found = run.kept_masks(EARLIER, now, clip)
    assert sorted(found) == kept
    assert all(found[index] == (run.masks / f"{index:05d}.png", {1: 0.25}) for index in kept)


def test_masks_that_are_gone_or_without_confidence_do_not_stay(run, clip):
    assert run.kept_masks(EARLIER, EARLIER, clip) == {}
    for index in (1, 2, 4):
        write_labels(run.masks / f"{index:05d}.png", np.zeros((48, 64), np.uint8))
    write_confidence(run.confidence, {name: {1: 0.25} for name in clip.names if name != "00002"})
    assert sorted(run.kept_masks(EARLIER, EARLIER, clip)) == [1, 4]
    run.confidence.write_text("{")
    assert run.kept_masks(EARLIER, EARLIER, clip) == {}


def test_what_a_network_remembers_comes_back_with_it(run):
    assert load_network(run.path).memory is None
    generator = torch.Generator().manual_seed(0)
    memory = Memory(torch.rand(1, 64, 7, generator=generator), torch.rand(1, 2, 7, generator=generator))
    save_network(run.network, build_network(LITE, 2, 0), RECORD, memory)
    trained = load_network(run.path)
    for one, other in ((trained.memory.keys, memory.keys), (trained.memory.masks, memory.masks)):
        assert one.dtype == torch.float32
        assert torch.allclose(one, other, atol=1e-3)
    expected = build_network(LITE, 2, 0).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in trained.network.state_dict().items())
