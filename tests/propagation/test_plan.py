import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_run import TINY_LITE, TINY_PAPER, write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import write_labels
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.keyframes import AnnotatedClip, read_keyframes
from dextr_vos.propagation.plan import Plan
from dextr_vos.run_files import RunTraining

PARENT = shipped_weights("lite-parent")


@pytest.fixture
def masks(tmp_path):
    return write_keyframes(tmp_path / "masks", 0, 3)


@pytest.fixture
def make(tiny_clip, masks):
    """Makes a plan from the files that are there."""

    def plan(model=TINY_LITE, parent=None, **options):
        clip = open_clip(tiny_clip)
        return Plan(AnnotatedClip(clip, read_keyframes(masks, clip)), model, parent, **options)

    return plan


def digests(plan):
    return plan.fingerprint, plan.base_fingerprint


def test_the_same_plan_has_the_same_fingerprint_wherever_the_files_are(make, tiny_clip, masks, tmp_path):
    plan = make(parent=PARENT)
    shutil.copytree(tiny_clip, tmp_path / "moved")
    shutil.copy(PARENT, tmp_path / "copy.safetensors")
    clip = open_clip(tmp_path / "moved")
    moved = Plan(AnnotatedClip(clip, read_keyframes(masks, clip)), TINY_LITE, tmp_path / "copy.safetensors")
    assert digests(moved) == digests(plan)


@pytest.mark.parametrize(
    "options",
    [
        {"model": replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, max_steps=7))},
        {"model": TINY_PAPER},
        {"parent": PARENT},
        {"seed": 1},
        {"budget_s": 60.0},
    ],
    ids=["recipe", "model", "parent", "seed", "budget"],
)
def test_all_that_determines_the_network_changes_both_fingerprints(make, options):
    plan, other = make(), make(**options)
    assert other.fingerprint != plan.fingerprint
    assert other.base_fingerprint != plan.base_fingerprint


@pytest.mark.parametrize("options", [{"fresh": True}, {"object_names": {1: "boar"}}], ids=["fresh", "names"])
def test_all_else_leaves_the_fingerprints(make, options):
    assert digests(make(**options)) == digests(make())


def test_keyframes_change_the_fingerprint_but_not_its_base(make, tiny_clip, masks):
    found = [digests(make())]
    write_labels(masks / "00003.png", np.maximum(tiny_mask(3), tiny_mask(2)))
    found.append(digests(make()))
    write_keyframes(masks, 5)
    found.append(digests(make()))
    Image.fromarray(tiny_frame(4)).save(tiny_clip / "00005.png")  # the frame of a keyframe
    found.append(digests(make()))
    Image.fromarray(tiny_frame(3)).save(tiny_clip / "00004.png")  # another frame: the network is the same
    assert digests(make()) == found[-1]
    assert len({fingerprint for fingerprint, _ in found}) == 4
    assert len({base for _, base in found}) == 1


def test_clicked_keyframes_are_another_network_only_with_another_interpolation(make):
    drawn, clicked = make(parent=PARENT), make(parent=PARENT, clicked=True)
    recipe = TINY_LITE.recipe.for_keyframes(2)
    assert clicked.first_recipe == TINY_LITE.recipe.for_keyframes(1)
    assert (drawn.alpha, clicked.alpha) == (recipe.alpha, recipe.alpha_clicked)
    assert drawn.fingerprint != clicked.fingerprint
    assert drawn.base_fingerprint == clicked.base_fingerprint
    assert make().alpha == make(clicked=True).alpha == 1.0  # random weights are not kept
    assert digests(make()) == digests(make(clicked=True))


def test_keyframes_without_an_object_do_not_lengthen_the_training(make, masks):
    assert make(parent=PARENT).first_recipe == TINY_LITE.recipe.for_keyframes(2)
    write_labels(masks / "00003.png", 0 * tiny_mask(0))
    assert make(parent=PARENT).first_recipe == TINY_LITE.recipe.for_keyframes(1)


def test_a_missing_parent_is_described(make, tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*nowhere\.pth"):
        assert make(parent=tmp_path / "nowhere.pth").fingerprint


def test_small_components_of_keyframes_are_supported_by_object(make, masks):
    labels = 3 * tiny_mask(0)
    labels[40:44, 0:9] = 3  # 0.1 of the object
    write_labels(masks / "00000.png", labels)
    plan = make()
    assert plan.object_ids == [1, 3]
    assert plan.min_component_share == {1: 0.2, 3: pytest.approx(0.05)}


def test_the_record_says_what_made_the_run(make, tiny_clip, masks):
    write_labels(masks / "00005.png", 4 * tiny_mask(5))
    plan = make(parent=PARENT, seed=3, object_names={1: "boar", 9: "not here"})
    training = RunTraining(steps=2, stop="time limit", loss=0.5, seconds=1.0)
    recipe = replace(plan.recipe, longest_side=256)  # as a budget leaves it
    record = plan.record(recipe, training, "earlier")
    assert record.model == "lite"
    assert record.clip.path == str(tiny_clip.resolve())
    assert [(entry.id, entry.name) for entry in record.objects] == [(1, "boar"), (4, "object 4")]
    assert record.keyframes == ("00000", "00003", "00005")
    assert (record.longest_side, record.settings["longest_side"]) == (256, 256)
    assert (record.parent, record.seed) == (str(PARENT.resolve()), 3)
    assert record.training == training
    assert (record.fingerprint, record.base_fingerprint) == digests(plan)
    assert record.keyframe_digests == plan.annotated.digests
    assert record.continued_from == "earlier"
    assert record.min_component_share == plan.min_component_share
