import pytest
import torch

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks import weights
from dextr_vos.propagation.run import RunFolder, load_network, network_record, save_network
from dextr_vos.propagation.tiers import LITE, build_network
from dextr_vos.record import RunClip, RunObject, RunRecord, RunTraining, read_record, write_record

RECORD = RunRecord(
    network="lite",
    clip=RunClip(path="/clips/böar", frames=6, size_hw=(48, 64), identity="0" * 64),
    objects=(RunObject(id=1, name="boar"), RunObject(id=3, name="object 3")),
    keyframes=("00000", "00003"),
    longest_side=480,
    settings=LITE.recipe.as_dict(),
    parent=None,
    seed=7,
    training=RunTraining(steps=8, stop="settled", loss=0.1, seconds=1.5),
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
        assert (trained.tier, trained.numbers) == (LITE, [1, 3])
        expected = build_network(LITE, 2, 0).state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in trained.network.state_dict().items())


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
    save_network(run.network, build_network(LITE, 1, 0), RECORD)
    with pytest.raises(WeightsError, match=r"of another shape"):
        load_network(run.path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b'{"format": "dextr-vos run", "version": 2}']
)
def test_a_damaged_record_is_told(run, content):
    run.record.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.json is damaged or of another release"):
        read_record(run.record)


def test_finished_masks_replace_older_ones_whole(run):
    run.masks.mkdir()
    (run.masks / "00009.png").write_bytes(b"old")
    mine, other = run.unfinished_masks("a" * 64), run.unfinished_masks("b" * 64)
    for folder in (mine, other):
        folder.mkdir()
        (folder / "00000.png").write_bytes(b"new")
    run.finish_masks(mine)
    assert [path.name for path in run.masks.iterdir()] == ["00000.png"]
    assert sorted(path.name for path in run.path.iterdir()) == ["masks", "network.safetensors", "run.json"]


def test_what_killed_writers_left_is_removed_and_nothing_else(run):
    unfinished = run.unfinished_masks("a" * 64)
    unfinished.mkdir()
    rubbish = [
        unfinished / ".00003.x1y2.png",
        run.path / ".training.x.pt",
        run.path / ".network.y.safetensors",
        run.path / ".run.z.json",
    ]
    kept = [unfinished / "00003.png", run.path / ".hidden", run.path / "notes.pt"]
    for path in rubbish + kept:
        path.write_bytes(b"x")
    run.drop_half_written(unfinished)
    assert not any(path.exists() for path in rubbish)
    assert all(path.exists() for path in (*kept, run.network, run.record))
