import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import vgg16

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks import checkpoints as weights
from dextr_vos.networks.lite_dextr import LiteDextr
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.models import LITE, MODELS, OSVOS, build_network, model_named

pytestmark = pytest.mark.usefixtures("one_thread")

BOTH = pytest.mark.parametrize("model", [LITE, OSVOS], ids=lambda model: model.name)
PER_OBJECT = {"lite": (), "osvos": ("score_dsn.", "fuse.")}


def saved(model, path, objects=1, seed=5):
    network = model.build(objects)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.01 * torch.randn(parameter.shape, generator=generator))
    if path.suffix == ".safetensors":
        weights.save(path, network.state_dict())
    else:
        torch.save(network.state_dict(), path)
    return network.state_dict()


def test_tiers_are_found_by_name():
    assert [model_named(name).name for name in MODELS] == ["lite", "osvos"]
    with pytest.raises(InputError, match="unknown network 'large'; expected one of lite, osvos"):
        model_named("large")


@BOTH
def test_initial_weights_follow_from_the_seed(model):
    first, again, other = (build_network(model, 1, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@BOTH
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("objects", [1, 3])
def test_a_parent_of_one_object_starts_any_number(model, suffix, objects, tmp_path):
    parent = saved(model, tmp_path / f"parent.{suffix}")
    state = build_network(model, objects, 0, tmp_path / f"parent.{suffix}").state_dict()
    assert state.keys() == parent.keys()
    for key, tensor in state.items():
        each = key.startswith(PER_OBJECT[model.name])
        rows = tensor if each else [tensor]
        assert len(rows) == (objects if each else 1)
        for row in rows:
            assert torch.equal(row, parent[key][0] if each else parent[key]), key


def test_an_osvos_of_several_objects_is_no_parent(tmp_path):
    saved(OSVOS, tmp_path / "parent.pth", objects=2)
    with pytest.raises(WeightsError, match="has 2 rows; start from the parent network"):
        build_network(OSVOS, 2, 0, tmp_path / "parent.pth")


def test_norms_stay_as_the_parent_has_them_and_learn_where_there_is_none(tmp_path):
    saved(LITE, tmp_path / "parent.pth")
    assert build_network(LITE, 1, 0, tmp_path / "parent.pth").norm_frozen
    assert not build_network(LITE, 1, 0, tmp_path / "parent.pth", freeze_norm=False).norm_frozen
    assert not build_network(LITE, 1, 0).norm_frozen


def test_a_trained_start_learns_with_smaller_steps(tmp_path):
    saved(LITE, tmp_path / "parent.pth")
    rates = [
        LITE.optimizer(build_network(LITE, 1, 0, parent)).param_groups[0]["lr"]
        for parent in (None, tmp_path / "parent.pth")
    ]
    assert rates[1] < rates[0]


def test_what_a_network_remembers_is_no_part_of_a_parent(tmp_path):
    state = saved(LITE, tmp_path / "parent.safetensors")
    weights.save(tmp_path / "run.safetensors", state | {"memory.keys": torch.zeros(1, 64, 5)})
    network = build_network(LITE, 1, 0, tmp_path / "run.safetensors")
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())


def test_lite_starts_from_lite_dextr(tmp_path):
    torch.manual_seed(3)
    dextr = LiteDextr().state_dict()
    torch.save(dextr, tmp_path / "dextr.pth")
    state = build_network(LITE, 1, 0, tmp_path / "dextr.pth").state_dict()
    taken = [key for key in state if key in dextr and state[key].shape == dextr[key].shape]
    assert len(taken) > 100
    assert all(torch.equal(state[key], dextr[key]) for key in taken if key.startswith("encoder."))


@pytest.mark.parametrize(("model", "other"), [(LITE, OSVOS), (OSVOS, LITE)], ids=["lite", "osvos"])
def test_the_other_tiers_parent_is_refused(model, other, tmp_path):
    saved(other, tmp_path / "parent.pth")
    with pytest.raises(WeightsError, match=r"parent.pth does not fit the network \w+: \d+ missing"):
        build_network(model, 1, 0, tmp_path / "parent.pth")


@BOTH
def test_broken_parents_are_told(model, tmp_path):
    path = tmp_path / "parent.pth"
    saved(model, path)
    whole = path.read_bytes()
    for content in (b"", whole[:1000], b"<html>", b"rubbish"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"parent\.pth"):
            build_network(model, 1, 0, path)
    with pytest.raises(WeightsError, match="there is no checkpoint"):
        build_network(model, 1, 0, tmp_path / "none.pth")
    torch.save({"state": 1}, path)
    with pytest.raises(WeightsError, match="expected tensors only"):
        build_network(model, 1, 0, path)


@pytest.mark.slow
def test_osvos_starts_from_imagenet(tmp_path):
    torch.save(vgg16(weights=None).state_dict(), tmp_path / "vgg16.pth")
    network = build_network(OSVOS, 2, 0, tmp_path / "vgg16.pth")
    fresh = build_network(OSVOS, 2, 0)
    key = "stages.1.1.weight"
    assert not torch.equal(network.state_dict()[key], fresh.state_dict()[key])
    (tmp_path / "vgg.mat").write_bytes(b"no")
    with pytest.raises(WeightsError, match="cannot read"):
        build_network(OSVOS, 1, 0, tmp_path / "vgg.mat")


@BOTH
def test_a_tier_is_one_interface(model):
    frames = model.prepare(np.zeros((2, 40, 52, 3), dtype=np.uint8))
    guides = torch.zeros(2, 3, 40, 52)
    network = build_network(model, 3, 0).eval()
    with torch.no_grad():
        scores = network(frames, guides, frames, guides) if model.follows else network(frames)
    assert all(score.shape == (2, 3, 40, 52) for score in scores)
    optimizer = model.optimizer(network)
    assert all(group["lr"] > 0 for group in optimizer.param_groups)


@BOTH
def test_a_recipe_is_plain_values(model):
    content = model.recipe.as_dict()
    assert content["augmentation"]["rotation_deg"] == 30.0
    assert replace(model.recipe, max_steps=3).as_dict() == {**content, "max_steps": 3}
    assert json.loads(json.dumps(content))["longest_side"] == model.recipe.longest_side


def test_a_step_limit_leaves_room_for_the_training_before_the_cool_down():
    recipe = replace(LITE.recipe, max_steps=100, correction_steps=30, cooldown=30)
    limited = [recipe.limited_to(steps) for steps in (100, 50, 11, 1, 0)]
    assert [(each.max_steps, each.cooldown) for each in limited] == [
        *((100, 30), (50, 25), (11, 5), (1, 0), (0, 0))
    ]


def test_a_correction_takes_fewer_steps_and_never_more_than_were_allowed():
    recipe = replace(LITE.recipe, max_steps=100, correction_steps=30)
    assert recipe.again().max_steps == 30
    assert recipe.limited_to(8).again().max_steps == 8
    for model in MODELS.values():
        assert model.recipe.correction_steps < model.recipe.max_steps


def test_a_parent_is_what_was_asked_for_or_what_ships():
    assert LITE.parent("none") is None
    assert LITE.parent("mine.pth") == OSVOS.parent("mine.pth") == Path("mine.pth")
    assert OSVOS.parent(None) is None
    assert LITE.parent(None) == shipped_weights("lite-parent")
