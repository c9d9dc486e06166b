"""Runs whose small components are removed, with weight interpolation, and with a pool of encoded frames."""

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
from dextr_vos.propagation import session
from dextr_vos.propagation.tracker import SoftMasks, Tracker
from dextr_vos.propagation.trained_network import load_network
from dextr_vos.run_files import RunPaths, read_record
from dextr_vos.workspace import Workspace

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")
NAMES = [f"{index:05d}.png" for index in range(6)]


@pytest.mark.parametrize(("share", "kept"), [(0.2, False), (0.0, True)])
def test_small_components_that_no_keyframe_shows_are_removed(
    tiny_clip, keyframes, out, monkeypatch, share, kept
):
    found = torch.zeros((1, 48, 64))
    found[0, 10:30, 10:30], found[0, 40:43, 50:53] = 0.9, 0.55
    monkeypatch.setattr(Tracker, "segment", lambda *_: SoftMasks(found, torch.ones(1)))
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, small_components=share))
    record = train(tiny_clip, keyframes, out, model)
    assert record.min_component_share == {1: share}
    labels = read_labels(out / "masks" / NAMES[1])
    assert (labels[41, 51] == 1) == kept
    assert (labels[10:30, 10:30] == 1).all()


def test_with_a_parent_and_a_pool_the_workflow_is_the_same(tiny_clip, keyframes, out, tmp_path):
    """Training, a stop, and a correction, as on a slow machine."""
    parent = tmp_path / "parent.safetensors"
    save(parent, TINY_LITE.start(1, 3, None).state_dict(), {})
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


@pytest.mark.parametrize(("drawn", "share"), [(None, 0.25), (3, 0.75)])
def test_weights_are_interpolated_with_the_parents(tiny_clip, out, tmp_path, drawn, share):
    """With another alpha where all masks come from clicks."""
    parent, clip = tmp_path / "parent.safetensors", open_clip(tiny_clip)
    save(parent, TINY_LITE.start(1, 3, None).state_dict(), {})
    workspace = annotated(clip, tmp_path / "work", drawn)

    def change(name, **values):
        model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, **values))
        train(tiny_clip, workspace.path, out / name, model, parent=parent)
        before, after = read_state_dict(parent), load_network(out / name).network.state_dict()
        return {key: after[key] - before[key] for key in before if before[key].is_floating_point()}

    whole = change("whole", alpha=1.0, alpha_clicked=1.0)
    part = change("part", alpha=0.5, alpha_clicked=0.25)
    assert any(each.abs().max() > 1e-4 for each in whole.values())
    assert load_network(out / "part").record.training.alpha == share
    assert all(torch.allclose(part[key], share * whole[key], atol=1e-6) for key in whole)


def test_alpha_0_trains_nothing(tiny_clip, out, tmp_path):
    parent, clip = tmp_path / "parent.safetensors", open_clip(tiny_clip)
    save(parent, TINY_LITE.start(1, 3, None).state_dict(), {})
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, alpha_clicked=0.0))
    record = train(tiny_clip, annotated(clip, tmp_path / "work").path, out, model, parent=parent)
    assert record.training.steps == 0
    before, after = read_state_dict(parent), load_network(out).network.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert sorted(path.name for path in (out / "masks").glob("*.png")) == NAMES


def test_without_a_parent_weights_are_not_interpolated(tiny_clip, keyframes, out):
    def learned(name, alpha):
        model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, alpha=alpha))
        train(tiny_clip, keyframes, out / name, model)
        return load_network(out / name).network.state_dict()

    one, other = learned("one", 1.0), learned("other", 0.1)
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_a_stop_does_not_change_the_interpolation(tiny_clip, keyframes, out, tmp_path):
    parent = tmp_path / "parent.safetensors"
    save(parent, TINY_LITE.start(1, 3, None).state_dict(), {})
    train(tiny_clip, keyframes, out / "whole", parent=parent)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out / "parts", parent=parent, stop_asked=stop_after(4))
    train(tiny_clip, keyframes, out / "parts", parent=parent)
    whole, parts = (load_network(out / name).network.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(tensor, parts[key]) for key, tensor in whole.items())


def test_a_correction_is_interpolated_with_the_run_before(tiny_clip, keyframes, out, tmp_path, monkeypatch):
    """Not towards the parent."""
    parent = tmp_path / "parent.safetensors"
    save(parent, TINY_LITE.start(1, 3, None).state_dict(), {})
    train(tiny_clip, keyframes, out, parent=parent)
    first = load_network(out).network.state_dict()
    given = []
    monkeypatch.setattr(
        session, "interpolate_weights", lambda network, before, alpha: given.append((before, alpha))
    )
    write_keyframes(keyframes, 5)
    assert train(tiny_clip, keyframes, out, parent=parent).continued_from is not None
    ((before, share),) = given
    assert share == TINY_LITE.recipe.for_keyframes(3).alpha
    assert read_record(RunPaths(out).record).settings["alpha"] == share
    assert all(torch.equal(tensor, before[key]) for key, tensor in first.items())
