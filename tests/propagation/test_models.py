import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_PAPER
from torchvision.models.vgg import cfgs, make_layers

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks import checkpoints
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.keyframes import AnnotatedClip, SpanPart, keyframes_from_labels, spans_between
from dextr_vos.propagation.models import LITE, MODELS_BY_NAME, PAPER, model_named
from dextr_vos.propagation.training_data import Sample

pytestmark = pytest.mark.usefixtures("one_thread")

BOTH = pytest.mark.parametrize("model", [LITE, PAPER], ids=["lite", "paper"])
TINY = pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=["lite", "paper"])
PER_OBJECT = {"lite": (), "paper": ("score_dsn.", "fuse.")}


@pytest.fixture
def narrow(narrow_lite, narrow_osvos):
    """Both networks made thin."""


def saved(model, path, objects=1, seed=5):
    network = model.build(objects)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.01 * torch.randn(parameter.shape, generator=generator))
    if path.suffix == ".safetensors":
        checkpoints.save(path, network.state_dict())
    else:
        torch.save(network.state_dict(), path)
    return network.state_dict()


def two_objects(index):
    labels = tiny_mask(index)
    labels[38:46, 10:50] = 3
    return labels


@pytest.fixture
def annotated(tiny_clip):
    clip = open_clip(tiny_clip)
    return AnnotatedClip(clip, keyframes_from_labels({index: two_objects(index) for index in (1, 4)}, clip))


def test_models_are_found_by_name():
    assert [model_named(name).name for name in MODELS_BY_NAME] == ["lite", "paper", "sam2"]
    with pytest.raises(InputError, match="unknown model 'large'; expected one of lite, paper, sam2"):
        model_named("large")


@BOTH
@pytest.mark.usefixtures("narrow")
def test_initial_weights_depend_on_the_seed_alone(model):
    torch.manual_seed(3)
    first = model.start(1, 0, None).state_dict()
    torch.manual_seed(4)
    again, other = (model.start(1, seed, None).state_dict() for seed in (0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@BOTH
@pytest.mark.usefixtures("narrow")
def test_a_start_from_random_weights_is_logged(model, caplog, tmp_path):
    model.start(1, 0, None)
    assert f"the {model.name} model without a parent starts from random weights" in caplog.text
    caplog.clear()
    saved(model, tmp_path / "parent.pth")
    model.start(1, 0, tmp_path / "parent.pth")
    assert not caplog.text


@BOTH
@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("objects", [1, 3])
def test_a_parent_of_one_object_starts_any_number(model, suffix, objects, tmp_path):
    parent = saved(model, tmp_path / f"parent.{suffix}")
    state = model.start(objects, 0, tmp_path / f"parent.{suffix}").state_dict()
    assert state.keys() == parent.keys()
    for key, tensor in state.items():
        each = key.startswith(PER_OBJECT[model.name])
        rows = tensor if each else [tensor]
        assert len(rows) == (objects if each else 1)
        for row in rows:
            assert torch.equal(row, parent[key][0] if each else parent[key]), key


@pytest.mark.usefixtures("narrow")
def test_a_paper_network_of_several_objects_is_no_parent(tmp_path):
    saved(PAPER, tmp_path / "parent.pth", objects=2)
    with pytest.raises(WeightsError, match="has 2 rows; start from the parent network"):
        PAPER.start(2, 0, tmp_path / "parent.pth")


@BOTH
@pytest.mark.usefixtures("narrow")
def test_a_parent_of_the_other_model_is_refused(model, tmp_path):
    other = LITE if model is PAPER else PAPER
    saved(other, tmp_path / "parent.pth")
    with pytest.raises(WeightsError, match=r"parent.pth does not fit the network \w+: \d+ missing"):
        model.start(1, 0, tmp_path / "parent.pth")


@BOTH
@pytest.mark.usefixtures("narrow")
def test_broken_parents_are_described(model, tmp_path):
    path = tmp_path / "parent.pth"
    saved(model, path)
    whole = path.read_bytes()
    for content in (b"", whole[:1000], b"<html>", b"not weights"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"parent\.pth"):
            model.start(1, 0, path)
    with pytest.raises(InputError, match=r"there is no checkpoint .*none\.pth"):
        model.start(1, 0, tmp_path / "none.pth")
    torch.save({"state": 1}, path)
    with pytest.raises(WeightsError, match="expected tensors only"):
        model.start(1, 0, path)


@pytest.mark.usefixtures("narrow")
def test_a_network_for_clicks_starts_a_tracker_that_is_not_one_yet(tmp_path):
    clicks = {key: torch.full_like(each, 0.25) for key, each in LiteClicks().state_dict().items()}
    checkpoints.save(tmp_path / "clicks.safetensors", clicks)
    started, random = LITE.start(1, 0, tmp_path / "clicks.safetensors"), LITE.start(1, 0, None)
    before, after = random.state_dict(), started.state_dict()
    assert all(torch.equal(after[key], clicks[key]) for key in after if key.startswith("encoder."))
    assert all(torch.equal(after[key], before[key]) for key in after if key not in clicks)
    assert not started.pretrained
    assert not random.pretrained


@pytest.mark.usefixtures("narrow")
def test_a_trained_start_learns_with_smaller_steps(tmp_path):
    saved(LITE, tmp_path / "parent.pth")
    checkpoints.save(tmp_path / "clicks.safetensors", LiteClicks().state_dict())
    random, clicks, trained = (
        LITE.optimizer(LITE.start(1, 0, parent)).param_groups[0]["lr"]
        for parent in (None, tmp_path / "clicks.safetensors", tmp_path / "parent.pth")
    )
    assert trained < clicks == random


@pytest.mark.usefixtures("narrow")
def test_what_draws_outlines_learns_faster_than_what_tells_objects_apart(tmp_path):
    saved(LITE, tmp_path / "parent.pth")
    network = LITE.start(1, 0, tmp_path / "parent.pth")
    network.encoder.requires_grad_(False)
    groups = LITE.optimizer(network).param_groups
    rate = {id(each): group["lr"] for group in groups for each in group["params"]}
    outlines = {
        each
        for name in ("refine_quarter", "to_eighth", "detail", "weights")
        for each in getattr(network.decoder, name).parameters()
    }
    apart = {*network.decoder.blocks.parameters(), *network.key.parameters()}
    assert {rate[id(each)] for each in outlines} == {max(rate.values())}
    assert {rate[id(each)] for each in apart} == {min(rate.values())}
    assert len(set(rate.values())) == 2
    assert rate.keys() == {id(each) for each in network.parameters() if each.requires_grad}


@pytest.mark.usefixtures("narrow")
def test_the_memory_of_a_network_is_no_part_of_a_parent(tmp_path):
    state = saved(LITE, tmp_path / "parent.safetensors")
    checkpoints.save(tmp_path / "run.safetensors", state | {"memory.keys": torch.zeros(1, 64, 5)})
    network = LITE.start(1, 0, tmp_path / "run.safetensors")
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())


@pytest.mark.slow
def test_paper_starts_from_imagenet(tmp_path):
    features = make_layers(cfgs["D"], batch_norm=False).state_dict()
    state = {f"features.{key}": tensor for key, tensor in features.items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "vgg16.pth")
    network = PAPER.start(2, 0, tmp_path / "vgg16.pth")
    fresh = PAPER.start(2, 0, None)
    key = "stages.1.1.weight"
    assert torch.equal(network.state_dict()[key], state["features.5.weight"])
    assert not torch.equal(network.state_dict()[key], fresh.state_dict()[key])
    (tmp_path / "vgg.mat").write_bytes(b"no")
    with pytest.raises(WeightsError, match="cannot read"):
        PAPER.start(1, 0, tmp_path / "vgg.mat")


def test_a_parent_is_the_one_asked_for_or_the_shipped_one():
    assert LITE.parent("none") is PAPER.parent("none") is None
    assert LITE.parent("mine.pth") == PAPER.parent(Path("mine.pth")) == Path("mine.pth")
    with pytest.raises(InputError, match="the model paper needs a parent"):
        PAPER.parent(None)
    assert LITE.parent(None) == shipped_weights("lite-parent")


def test_weights_are_interpolated_only_with_those_that_know_objects(tmp_path):
    assert LITE.knows_objects(shipped_weights("lite-parent"))
    assert PAPER.knows_objects(tmp_path / "parent.pth")
    assert not LITE.knows_objects(None)
    assert not PAPER.knows_objects(None)


@pytest.mark.usefixtures("narrow")
@TINY
def test_only_networks_whose_objects_share_all_weights_go_on_with_others(model):
    one, three = ({key: each.shape for key, each in model.build(k).state_dict().items()} for k in (1, 3))
    shared = one == three
    assert model.any_objects() == shared


@pytest.mark.usefixtures("narrow")
@TINY
def test_a_model_trains_its_network(model):
    samples = [Sample(tiny_frame(index), two_objects(index)) for index in (0, 3)]
    network = model.start(2, 0, None).to(memory_format=model.memory_format(CPU)).train()
    before = {key: tensor.clone() for key, tensor in network.named_parameters()}
    optimizer, batches = model.optimizer(network), model.batch_source(model.recipe, samples, [1, 3], 0)
    batches.prepare(network, CPU)
    batch = batches.batch(0)
    logits = batches.logits(network, batch, CPU)
    assert all(each.shape == batch.targets.shape for each in logits)
    batches.loss(logits, batch).backward()
    assert all(group["lr"] > 0 for group in optimizer.param_groups)
    optimizer.step()
    assert any(not torch.equal(tensor, before[key]) for key, tensor in network.named_parameters())


@pytest.mark.usefixtures("narrow")
@TINY
def test_a_model_propagates_keyframes_through_a_clip(model, annotated, tmp_path):
    network = model.start(2, 0, None).eval()
    propagator = model.propagator(network, model.recipe, annotated, CPU, tmp_path)
    indices, calls = [], []
    for span in spans_between(annotated.keyframes, len(annotated)):
        for each in propagator.propagate(SpanPart(span, span.first, span.last), lambda: calls.append(1)):
            indices.append(each.index)
            assert np.array_equal(each.image_rgb, tiny_frame(each.index))
            assert (each.probs.shape, each.probs.dtype) == ((2, 48, 64), np.float32)
            assert 0 <= each.probs.min() <= each.probs.max() <= 1
            assert each.agreement.shape == (2,)
            assert (each.iou_estimate is None) == (model.name == "paper")
            if each.iou_estimate is not None:
                assert each.iou_estimate.shape == (2,)
                assert 0 <= each.iou_estimate.min() <= each.iou_estimate.max() <= 1
    assert indices == [0, 2, 3, 5]
    spans = spans_between(annotated.keyframes, len(annotated))
    assert len(calls) == sum(propagator.steps(SpanPart(span, span.first, span.last)) for span in spans)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.usefixtures("narrow")
@TINY
def test_a_model_segments_keyframes_as_if_they_were_not_known(model, annotated, tmp_path):
    propagator = model.propagator(model.start(2, 0, None).eval(), model.recipe, annotated, CPU, tmp_path)
    found = propagator.repeat(4)
    assert found.index == 4
    assert found.probs.shape == (2, 48, 64)
    assert not np.array_equal(found.probs > 0.5, [two_objects(4) == each for each in (1, 3)])
    propagator.segment_once(1)
    propagator.forget()
    assert np.array_equal(propagator.repeat(4).probs, found.probs)


@pytest.mark.usefixtures("narrow")
@TINY
@pytest.mark.parametrize("size_hw", [(48, 64), (30, 50)])
def test_a_model_segments_other_clips_by_memory(model, size_hw, annotated, tmp_path):
    network = model.start(2, 0, None).eval()
    memory = model.propagator(network, model.recipe, annotated, CPU, tmp_path).memory()
    segment = model.sequence_segmenter(network, model.recipe, memory, 2, size_hw, CPU)
    for index in range(2):
        probs = segment(np.ascontiguousarray(tiny_frame(index)[: size_hw[0], : size_hw[1]]))
        assert (probs.shape, probs.dtype) == ((2, *size_hw), np.float32)
        assert 0 <= probs.min() <= probs.max() <= 1


@pytest.mark.usefixtures("narrow")
def test_a_tracking_network_without_memory_cannot_segment_other_clips():
    network = TINY_LITE.start(1, 0, None).eval()
    with pytest.raises(WeightsError, match="without its memory of keyframes; run dextr-vos propagate again"):
        TINY_LITE.sequence_segmenter(network, TINY_LITE.recipe, None, 1, (48, 64), CPU)


@BOTH
def test_a_recipe_is_plain_values(model):
    content = model.recipe.as_dict()
    assert content["augmentation"]["rotation_deg"] == 30.0
    assert replace(model.recipe, max_steps=3).as_dict() == {**content, "max_steps": 3}
    assert json.loads(json.dumps(content))["longest_side"] == model.recipe.longest_side


def test_what_is_like_an_object_elsewhere_in_the_frame_does_not_count_as_not_learned(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(90, 130, (360, 640, 3)).astype(np.uint8)
    labels = np.zeros((360, 640), np.uint8)
    for place, x in enumerate((60, 320, 580)):
        row, column = slice(160, 190), slice(x - 15, x + 15)
        image[row, column] = (220, 40, 30)
        if place == 0:
            labels[row, column] = 1
    clip = open_clip(np.stack([image, image]))
    annotated = AnnotatedClip(clip, keyframes_from_labels({0: labels}, clip))
    network = LITE.start(1, 0, shipped_weights("lite-parent")).eval()
    found = LITE.propagator(network, LITE.recipe, annotated, CPU, tmp_path).repeat(0).probs[0] > 0.5
    assert (found & (labels == 1)).sum() / (found | (labels == 1)).sum() > 0.8
