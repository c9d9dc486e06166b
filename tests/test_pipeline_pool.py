"""Runs with islands that are dropped, and with a pool of frames that the encoder sees once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_run import TINY_LITE, TINY_POOL, Squares, stop_after, train, write_keyframes

from dextr_vos.annotation.annotate import annotate
from dextr_vos.annotation.annotations import annotations_from
from dextr_vos.clip import open_clip
from dextr_vos.errors import Interrupted
from dextr_vos.masks import read_labels
from dextr_vos.networks.checkpoints import read_state_dict, save
from dextr_vos.propagation import propagate
from dextr_vos.propagation.models import build_network
from dextr_vos.propagation.tracker import Tracker
from dextr_vos.propagation.trained_network import load_network
from dextr_vos.workspace import Workspace

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")
NAMES = [f"{index:05d}.png" for index in range(6)]


@pytest.fixture
def keyframes(tmp_path):
    return write_keyframes(tmp_path / "keyframes", 0, 3)


@pytest.mark.parametrize(("share", "kept"), [(0.2, False), (0.0, True)])
def test_islands_that_no_keyframe_shows_are_dropped(tiny_clip, keyframes, out, monkeypatch, share, kept):
    found = np.zeros((1, 48, 64), np.float32)
    found[0, 10:30, 10:30], found[0, 40:43, 50:53] = 0.9, 0.9
    monkeypatch.setattr(Tracker, "segment", lambda *_: found)
    following = replace(TINY_LITE.recipe.following, islands=share)
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, following=following))
    record = train(tiny_clip, keyframes, out, model)
    assert record.min_component_share == {1: share}
    labels = read_labels(out / "masks" / NAMES[1])
    assert (labels[41, 51] == 1) == kept
    assert (labels[10:30, 10:30] == 1).all()


def test_with_a_parent_and_a_pool_the_road_is_the_same(tiny_clip, keyframes, out, tmp_path):
    """Training, a stop, and a correction, as on a slow machine."""
    parent = tmp_path / "parent.safetensors"
    save(parent, build_network(TINY_LITE, 1, 3).state_dict(), {})
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, TINY_POOL, parent=parent, stop_asked=stop_after(7))
    first = train(tiny_clip, keyframes, out, TINY_POOL, parent=parent)
    assert first.settings["pool"] == 4
    encoder = {key: t for key, t in load_network(out).network.state_dict().items() if "encoder." in key}
    assert all(torch.equal(tensor, read_state_dict(parent)[key]) for key, tensor in encoder.items())
    write_keyframes(keyframes, 5)
    again = train(tiny_clip, keyframes, out, TINY_POOL, parent=parent)
    assert (again.continued_from, again.settings["pool"]) == (first.fingerprint, 3)
    assert sorted(path.name for path in (out / "masks").glob("*.png")) == NAMES


def annotated(clip, path, drawn=None):
    """A workspace with a mask of clicks in frame 0, and perhaps a drawn one in another frame."""
    corners = np.array([(8, 20), (25, 20), (15, 14), (15, 33)])
    workspace = Workspace(path)
    annotate(clip, annotations_from({"00000": {1: corners}}, "file"), Squares(), workspace)
    if drawn is not None:
        write_keyframes(workspace.keyframes, drawn)
    return workspace


def encoder_of(path):
    state = load_network(path).network.state_dict()
    return {key: tensor for key, tensor in state.items() if key.startswith("encoder.")}


@pytest.mark.parametrize(("drawn", "learns"), [(None, False), (3, True)])
def test_clicks_alone_do_not_teach_the_encoder(tiny_clip, out, tmp_path, drawn, learns):
    """Masks of clicks have faults; what the encoder knows of the world stays, unless a mask was drawn."""
    parent, clip = tmp_path / "parent.safetensors", open_clip(tiny_clip)
    save(parent, build_network(TINY_LITE, 1, 3).state_dict(), {})
    workspace = annotated(clip, tmp_path / "work", drawn)
    recipe = replace(TINY_LITE.recipe, encoder_learns_from="drawn")
    train(tiny_clip, workspace.path, out, replace(TINY_LITE, recipe=recipe), parent=parent)
    before, after = read_state_dict(parent), encoder_of(out)
    assert any(not torch.equal(tensor, before[key]) for key, tensor in after.items()) == learns


@pytest.mark.parametrize(("drawn", "share"), [(None, 0.25), (3, 0.5)])
def test_of_what_is_learned_a_share_is_kept(tiny_clip, out, tmp_path, drawn, share):
    """And of what clicks have taught, another one."""
    parent, clip = tmp_path / "parent.safetensors", open_clip(tiny_clip)
    save(parent, build_network(TINY_LITE, 1, 3).state_dict(), {})
    workspace = annotated(clip, tmp_path / "work", drawn)

    def change(name, **kept):
        model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, **kept))
        train(tiny_clip, workspace.path, out / name, model, parent=parent)
        before, after = read_state_dict(parent), load_network(out / name).network.state_dict()
        return {key: after[key] - before[key] for key in before if before[key].is_floating_point()}

    whole = change("whole", kept=1.0, kept_of_clicks=1.0)
    part = change("part", kept=0.5, kept_of_clicks=0.25)
    assert any(each.abs().max() > 1e-4 for each in whole.values())
    assert load_network(out / "part").record.training.alpha == share
    assert all(torch.allclose(part[key], share * whole[key], atol=1e-6) for key in whole)


def test_where_nothing_is_kept_nothing_is_learned(tiny_clip, out, tmp_path):
    parent, clip = tmp_path / "parent.safetensors", open_clip(tiny_clip)
    save(parent, build_network(TINY_LITE, 1, 3).state_dict(), {})
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, kept_of_clicks=0.0))
    record = train(tiny_clip, annotated(clip, tmp_path / "work").path, out, model, parent=parent)
    assert record.training.steps == 0
    before, after = read_state_dict(parent), load_network(out).network.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert sorted(path.name for path in (out / "masks").glob("*.png")) == NAMES


def test_without_a_parent_all_that_is_learned_is_kept(tiny_clip, keyframes, out):
    def learned(name, kept):
        model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, kept=kept))
        train(tiny_clip, keyframes, out / name, model)
        return load_network(out / name).network.state_dict()

    one, other = learned("one", 1.0), learned("other", 0.1)
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_a_stop_changes_nothing_in_what_is_kept(tiny_clip, keyframes, out, tmp_path):
    parent = tmp_path / "parent.safetensors"
    save(parent, build_network(TINY_LITE, 1, 3).state_dict(), {})
    train(tiny_clip, keyframes, out / "whole", parent=parent)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out / "parts", parent=parent, stop_asked=stop_after(4))
    train(tiny_clip, keyframes, out / "parts", parent=parent)
    whole, parts = (load_network(out / name).network.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(tensor, parts[key]) for key, tensor in whole.items())


def test_a_correction_is_taken_back_towards_the_run_before(tiny_clip, keyframes, out, tmp_path, monkeypatch):
    """Not towards the parent."""
    parent = tmp_path / "parent.safetensors"
    save(parent, build_network(TINY_LITE, 1, 3).state_dict(), {})
    train(tiny_clip, keyframes, out, parent=parent)
    first = load_network(out).network.state_dict()
    given = []
    monkeypatch.setattr(propagate, "keep", lambda network, before, share: given.append((before, share)))
    write_keyframes(keyframes, 5)
    assert train(tiny_clip, keyframes, out, parent=parent).continued_from is not None
    ((before, share),) = given
    assert share == TINY_LITE.recipe.kept
    assert all(torch.equal(tensor, before[key]) for key, tensor in first.items())


def test_of_a_lite_dextr_as_parent_all_that_is_learned_is_kept(tiny_clip, keyframes, out, tmp_path):
    """Half of its layers are random: they must learn."""
    parent = tmp_path / "dextr.safetensors"
    save(parent, build_network(TINY_LITE, 1, 3).state_dict(), {"network": "lite-dextr"})
    assert train(tiny_clip, keyframes, out, parent=parent).training.alpha == 1
