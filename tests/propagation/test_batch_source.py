from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_OSVOS, TINY_POOL

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.propagation.batch_source import FrameBatches, PairBatches, PoolBatches, batch_source
from dextr_vos.propagation.models import build_network
from dextr_vos.propagation.training_data import Sample

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")

ALL = pytest.mark.parametrize("model", [TINY_LITE, TINY_POOL, TINY_OSVOS], ids=["pairs", "pool", "frames"])
SAMPLES = [Sample(tiny_frame(index), tiny_mask(index)) for index in (0, 3)]
STILL = Augmentation(flip=False, rotation_deg=0, scale=(1, 1), shift=0, brightness=0)


def lessons(model, batch=2, samples=SAMPLES, numbers=(1,), seed=0, **changes):
    return batch_source(model, replace(model.recipe, batch=batch, **changes), samples, numbers, seed)


def tensors(batch):
    return [*batch.inputs, batch.targets, batch.void]


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def test_networks_that_follow_learn_from_pairs_and_others_from_frames():
    assert isinstance(lessons(TINY_LITE), PairBatches)
    assert isinstance(lessons(TINY_POOL), PoolBatches)
    assert isinstance(lessons(TINY_OSVOS), FrameBatches)


@ALL
def test_a_lesson_follows_from_the_number_of_its_pass_alone(model):
    first = lessons(model)
    in_order = [first.draw(number) for number in range(4)]
    again = lessons(model)
    torch.rand(3), again.draw(9)
    assert all(same(again.draw(number), in_order[number]) for number in (3, 0, 2, 1))
    assert not any(same(in_order[one], in_order[other]) for one in range(4) for other in range(one))
    assert not same(lessons(model, seed=1).draw(0), in_order[0])


@ALL
def test_larger_batches_hold_the_same_samples(model):
    single, double = lessons(model, batch=1), lessons(model, batch=2)
    parts = zip(tensors(single.draw(2)), tensors(single.draw(3)), tensors(double.draw(1)), strict=True)
    assert all(torch.equal(torch.cat([one, other]), both) for one, other, both in parts)


@ALL
def test_a_lesson_is_what_the_network_takes(model):
    network = build_network(model, 1, 0)
    lesson = lessons(model)
    lesson.begin(network, CPU)
    batch = lesson.draw(0)
    scores = lesson.scores(network, batch, CPU)
    assert scores[-1].shape == batch.targets.shape == (2, 1, 48, 64)
    assert (batch.targets.dtype, batch.void.dtype) == (torch.float32, torch.bool)
    loss = lesson.loss(scores, batch)
    assert loss.ndim == 0
    loss.backward()
    assert any(parameter.grad.any() for parameter in network.parameters() if parameter.grad is not None)


def test_guides_and_known_masks_say_where_the_object_is():
    for number in range(6):
        frames, guides, known, masks = lessons(TINY_LITE).draw(number).inputs
        assert frames.shape == known.shape == (2, 3, 48, 64)
        assert guides.shape == masks.shape == (2, 1, 48, 64)
        assert -1.001 < guides.min() < guides.max() < 1.001
        assert set(masks.unique().tolist()) <= {0.0, 1.0}
        assert masks.sum() > 0


@ALL
def test_a_right_answer_costs_less_than_a_wrong_one(model):
    lesson = lessons(model)
    batch = lesson.draw(0)
    right = 8 * (2 * batch.targets - 1)
    costs = [float(lesson.loss([answer] * 4, batch)) for answer in (right, 0 * right, -right)]
    assert costs == sorted(costs)
    assert costs[0] < 0.1 * costs[1]


@ALL
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_side_scores_count_as_the_recipe_says(model, weight):
    lesson = lessons(model, side_weight=weight)
    batch = lesson.draw(0)
    good, bad = 8 * (2 * batch.targets - 1), torch.zeros_like(batch.targets)
    alone, side = float(lesson.loss([good], batch)), float(lesson.loss([bad], batch))
    assert float(lesson.loss([bad, good], batch)) == pytest.approx(alone + weight * side, rel=1e-4)
    assert float(lesson.loss([bad, bad, good], batch)) == pytest.approx(alone + 2 * weight * side, rel=1e-4)


@ALL
def test_void_does_not_reach_the_loss(model):
    lesson = lessons(model, batch=1)
    batch = lesson.draw(0)
    void = torch.zeros_like(batch.void)
    void[..., 30:, :] = True
    batch = replace(batch, targets=batch.targets * ~void, void=void)
    score = torch.zeros_like(batch.targets, requires_grad=True)
    lesson.loss([score], batch).backward()
    assert not score.grad[..., 30:, :].any()
    assert score.grad[..., :30, :].any()


def test_a_keyframe_without_the_object_teaches_osvos_too():
    """Balanced loss would be 0 where there is no object at all."""
    empty = Sample(SAMPLES[0].image_rgb, np.zeros((48, 64), np.uint8))
    lesson = lessons(TINY_OSVOS, batch=1, samples=[SAMPLES[0], empty], augmentation=STILL)
    costs = [
        float(lesson.loss([torch.zeros_like(batch.targets)], batch))
        for batch in map(lesson.draw, range(2))
        if not batch.targets.any()
    ]
    assert len(costs) == 1
    assert costs[0] > 0


def test_what_the_encoder_saw_of_the_pool_is_what_it_would_see():
    network = build_network(TINY_POOL, 1, 0).eval()
    lesson = lessons(TINY_POOL, batch=3)
    lesson.begin(network, CPU)
    turned = set()
    for number in range(6):
        batch = lesson.draw(number)
        guides, masks, places = batch.inputs
        seen = lesson.scores(network, batch, CPU)
        frames, known = (
            np.stack([lesson._pairs[row[0]][row[place]].image_rgb for row in places.tolist()])
            for place in (1, 2)
        )
        expected = network(TINY_POOL.prepare(frames), guides, TINY_POOL.prepare(known), masks)
        for ours, theirs in zip(seen, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        turned |= {row[1] for row in places.tolist()}
    assert turned == {0, 1}


def test_the_pool_is_seen_once_and_its_guides_are_ever_new(monkeypatch):
    network = build_network(TINY_POOL, 1, 0)
    lesson = lessons(TINY_POOL, batch=1)
    lesson.begin(network, CPU)
    monkeypatch.setattr(network.encoder, "forward", lambda frames: pytest.fail("seen again"))
    lesson.begin(network, CPU)
    first, again = lesson.draw(0), lesson.draw(TINY_POOL.recipe.pool)
    assert first.inputs[2][0, 0] == again.inputs[2][0, 0] == 0
    assert not torch.equal(first.inputs[0], again.inputs[0])
    lesson.scores(network, again, CPU)


def test_the_pool_holds_every_keyframe_that_the_steps_can_reach():
    samples = [Sample(tiny_frame(index % 6), tiny_mask(index % 6)) for index in range(12)]
    assert len(lessons(TINY_POOL, samples=samples, batch=1, max_steps=8)._pairs) == 8
    assert len(lessons(TINY_POOL, samples=samples, batch=4, max_steps=8)._pairs) == 12
    assert len(lessons(TINY_POOL, batch=4, max_steps=8)._pairs) == 4
