from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_PAPER, TINY_POOL

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.errors import Interrupted
from dextr_vos.networks.lite_tracker import lite_input
from dextr_vos.propagation.training_data import Sample

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

ALL = pytest.mark.parametrize("model", [TINY_LITE, TINY_POOL, TINY_PAPER], ids=["pairs", "pool", "frames"])
SAMPLES = [Sample(tiny_frame(index), tiny_mask(index)) for index in (0, 3)]
UNCHANGED = Augmentation(flip=False, rotation_deg=0, scale=(1, 1), shift=0, brightness=0)


def source_of(model, batch=2, samples=SAMPLES, object_ids=(1,), seed=0, **changes):
    return model.batch_source(replace(model.recipe, batch=batch, **changes), samples, object_ids, seed)


def tensors(batch):
    return [*batch.inputs, batch.targets, batch.void]


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


@ALL
def test_a_batch_depends_on_its_index_alone(model):
    first = source_of(model)
    in_order = [first.batch(index) for index in range(4)]
    again = source_of(model)
    torch.rand(3), again.batch(9)
    assert all(same(again.batch(index), in_order[index]) for index in (3, 0, 2, 1))
    assert not any(same(in_order[one], in_order[other]) for one in range(4) for other in range(one))
    assert not same(source_of(model, seed=1).batch(0), in_order[0])


@ALL
def test_larger_batches_hold_the_same_samples(model):
    single, double = source_of(model, batch=1), source_of(model, batch=2)
    parts = zip(tensors(single.batch(2)), tensors(single.batch(3)), tensors(double.batch(1)), strict=True)
    assert all(torch.equal(torch.cat([one, other]), both) for one, other, both in parts)


@pytest.mark.parametrize("model", [TINY_LITE, TINY_POOL], ids=["pairs", "pool"])
def test_pairs_are_no_larger_than_the_frames_that_enter_the_network(model):
    assert source_of(model, longest_side=32).batch(0).targets.shape[-2:] == (32, 32)


@ALL
def test_a_batch_is_what_the_network_takes(model):
    network = model.start(1, 0, None)
    batches = source_of(model)
    batches.prepare(network, CPU)
    batch = batches.batch(0)
    logits = batches.logits(network, batch, CPU)
    assert logits[-1].shape == batch.targets.shape == (2, 1, 48, 64)
    assert (batch.targets.dtype, batch.void.dtype) == (torch.float32, torch.bool)
    loss = batches.loss(logits, batch)
    assert loss.ndim == 0
    loss.backward()
    learning = {key for key, each in network.named_parameters() if each.grad is not None and each.grad.any()}
    assert learning
    # the frames of a pool are encoded before
    assert any(key.startswith("encoder.") for key in learning) == (model is TINY_LITE)


def test_guides_and_known_masks_show_where_the_object_is():
    for index in range(6):
        frames, guides, known, masks = source_of(TINY_LITE).batch(index).inputs
        assert frames.shape == known.shape == (2, 3, 48, 64)
        assert guides.shape == masks.shape == (2, 1, 48, 64)
        assert -1.001 < guides.min() < guides.max() < 1.001
        assert set(masks.unique().tolist()) <= {0.0, 1.0}
        assert masks.sum() > 0


@ALL
def test_a_right_answer_losses_less_than_a_wrong_one(model):
    batches = source_of(model)
    batch = batches.batch(0)
    right = 8 * (2 * batch.targets - 1)
    losses = [float(batches.loss([answer] * 4, batch)) for answer in (right, 0 * right, -right)]
    assert losses == sorted(losses)
    assert losses[0] < 0.1 * losses[1]


@ALL
def test_void_does_not_reach_the_loss(model):
    batches = source_of(model, batch=1)
    batch = batches.batch(0)
    void = torch.zeros_like(batch.void)
    void[..., 30:, :] = True
    batch = replace(batch, targets=batch.targets * ~void, void=void)
    logits = torch.zeros_like(batch.targets, requires_grad=True)
    batches.loss([logits], batch).backward()
    assert not logits.grad[..., 30:, :].any()
    assert logits.grad[..., :30, :].any()


def test_a_frame_without_the_object_has_a_loss_too():
    """Balanced loss would be 0 where there is no object at all."""
    empty = Sample(SAMPLES[0].image_rgb, np.zeros((48, 64), np.uint8))
    batches = source_of(TINY_PAPER, batch=1, samples=[SAMPLES[0], empty], augmentation=UNCHANGED)
    losses = [
        float(batches.loss([torch.zeros_like(batch.targets)], batch))
        for batch in map(batches.batch, range(2))
        if not batch.targets.any()
    ]
    assert len(losses) == 1
    assert losses[0] > 0


def test_logits_of_the_pool_are_those_of_the_whole_network():
    network = TINY_POOL.start(1, 0, None).eval()
    batches = source_of(TINY_POOL, batch=3)
    batches.prepare(network, CPU)
    targets = set()
    for index in range(6):
        batch = batches.batch(index)
        guides, masks, places = batch.inputs
        logits = batches.logits(network, batch, CPU)
        frames, known = (
            np.stack([batches._pool[row[0]][row[place]].image_rgb for row in places.tolist()])
            for place in (1, 2)
        )
        inputs = (lite_input(frames), guides, lite_input(known), masks)
        expected = source_of(TINY_LITE).logits(network, replace(batch, inputs=inputs), CPU)
        for ours, theirs in zip(logits, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        targets |= {row[1] for row in places.tolist()}
    assert targets == {0, 1}


def test_the_pool_is_encoded_once_and_its_guides_are_always_new(monkeypatch):
    network = TINY_POOL.start(1, 0, None)
    batches = source_of(TINY_POOL, batch=1)
    batches.prepare(network, CPU)
    monkeypatch.setattr(network.encoder, "forward", lambda frames: pytest.fail("encoded again"))
    batches.prepare(network, CPU)
    first, again = batches.batch(0), batches.batch(TINY_POOL.recipe.pool)
    assert first.inputs[2][0, 0] == again.inputs[2][0, 0] == 0
    assert not torch.equal(first.inputs[0], again.inputs[0])
    batches.logits(network, again, CPU)


def test_encoding_the_pool_leaves_the_network_as_it_is():
    """One that was just made, and so has not been told whether it is trained: its norms would learn."""
    network = TINY_POOL.start(1, 0, None)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    source_of(TINY_POOL).prepare(network, CPU)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_the_pool_holds_every_keyframe_that_the_steps_can_reach():
    samples = [Sample(tiny_frame(index % 6), tiny_mask(index % 6)) for index in range(12)]
    assert source_of(TINY_POOL, samples=samples, batch=1, max_steps=8)._count == 8
    assert source_of(TINY_POOL, samples=samples, batch=4, max_steps=8)._count == 12
    assert source_of(TINY_POOL, batch=4, max_steps=8)._count == 4


def test_a_stop_is_asked_for_while_the_pool_is_encoded():
    samples = [Sample(tiny_frame(index % 6), tiny_mask(index % 6)) for index in range(12)]
    network = TINY_POOL.start(1, 0, None)
    batches = source_of(TINY_POOL, samples=samples, batch=4)
    with pytest.raises(Interrupted, match="before the first step; the same command starts again"):
        batches.prepare(network, CPU, lambda: True)
    batches.prepare(network, CPU)  # what was encoded is kept
    batches.logits(network, batches.batch(2), CPU)
