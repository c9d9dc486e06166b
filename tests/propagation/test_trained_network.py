from dataclasses import replace

import pytest
import torch

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks import checkpoints
from dextr_vos.networks.lite_tracker import Memory
from dextr_vos.propagation.models import LITE, PAPER
from dextr_vos.propagation.run import network_record
from dextr_vos.propagation.trained_network import TrainedNetwork, load_network, save_network
from dextr_vos.run_files import RunClip, RunObject, RunPaths, RunRecord, RunTraining

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
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"there is no fine-tuned network .*dextr-vos propagate"):
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
    memory = Memory(torch.rand(1, 64, 7, generator=generator), torch.rand(1, 2, 7, generator=generator))
    save_network(paths.network, TrainedNetwork(LITE.start(2, 0, None), RECORD, memory))
    trained = load_network(paths.path)
    for one, other in ((trained.memory.keys, memory.keys), (trained.memory.masks, memory.masks)):
        assert one.dtype == torch.float32
        assert torch.allclose(one, other, atol=1e-3)
    expected = LITE.start(2, 0, None).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in trained.network.state_dict().items())
