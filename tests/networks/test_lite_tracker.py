import numpy as np
import pytest
import torch
from torch import nn

from dextr_vos.networks.lite_tracker import (
    KEY_STRIDE,
    KEY_WIDTH,
    LiteTracker,
    Memory,
    join_memories,
    lite_input,
)
from dextr_vos.networks.losses import class_balanced_bce

pytestmark = pytest.mark.usefixtures("one_thread")
narrow = pytest.mark.usefixtures("narrow_lite")

SIZE_HW = (48, 64)


def made_up(count=1, objects=1, size_hw=SIZE_HW):
    """Frames, guides, known frames and their masks, all in blocks as large as a pixel of the keys."""
    generator = torch.Generator().manual_seed(5)

    def blocks(channels):
        coarse = [-(-side // KEY_STRIDE) for side in size_hw]
        values = torch.rand(count, channels, *coarse, generator=generator) * 2 - 1
        values = values.repeat_interleave(KEY_STRIDE, 2).repeat_interleave(KEY_STRIDE, 3)
        return values[..., : size_hw[0], : size_hw[1]]

    return 2 * blocks(3), blocks(objects), 2 * blocks(3), (blocks(objects) > 0).float()


def tracker(seed=0):
    torch.manual_seed(seed)
    return LiteTracker().eval()


@narrow
@pytest.mark.parametrize("size_hw", [(32, 32), (48, 64), (47, 65), (33, 120)])
@pytest.mark.parametrize("objects", [1, 3])
def test_scores_have_the_size_of_the_frames(size_hw, objects):
    with torch.inference_mode():
        scores = tracker()(*made_up(2, objects, size_hw))
    assert len(scores) == 4
    assert all(score.shape == (2, objects, *size_hw) for score in scores)
    assert all(score.isfinite().all() for score in scores)


@narrow
def test_samples_of_a_batch_do_not_see_one_another():
    network, inputs = tracker(), made_up(3, 2)
    with torch.inference_mode():
        together = network(*inputs)[-1]
        alone = network(*(each[1:2] for each in inputs))[-1]
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@narrow
def test_objects_do_not_see_one_another():
    network, (frames, guides, known, masks) = tracker(), made_up(2, 3)
    with torch.inference_mode():
        together = network(frames, guides, known, masks)
        for number in range(3):
            one = slice(number, number + 1)
            alone = network(frames, guides[:, one], known, masks[:, one])
            for score, by_itself in zip(together, alone, strict=True):
                assert torch.allclose(score[:, one], by_itself, atol=1e-5)
    assert not torch.allclose(together[-1][:, 0], together[-1][:, 1], atol=1e-3)


@narrow
@pytest.mark.parametrize("changed", range(4), ids=["frame", "guide", "known frame", "known mask"])
def test_everything_given_matters(changed):
    network, inputs = tracker(), list(made_up())
    with torch.inference_mode():
        before = network(*inputs)
        inputs[changed] = 1 - inputs[changed]
        after = network(*inputs)
    for one, two in zip(before, after, strict=True):
        assert not torch.equal(one, two)


@narrow
def test_a_frame_remembers_where_its_objects_are():
    network, masks = tracker(), torch.zeros(1, 2, *SIZE_HW)
    masks[:, 0, :8, 16:24] = 1  # one pixel of the keys
    masks[:, 1, 40:, :4] = 1  # half of one
    with torch.inference_mode():
        features = network.encode(made_up()[0])
        memory = features.memorize(masks)
    height, width = (side // KEY_STRIDE for side in SIZE_HW)
    assert features.keys.shape == (1, KEY_WIDTH, height, width)
    assert torch.allclose(features.keys.norm(dim=1), torch.ones(1, height, width), atol=1e-5)
    assert memory.keys.shape == (1, KEY_WIDTH, height * width)
    assert torch.equal(memory.keys.view_as(features.keys), features.keys)
    expected = torch.zeros(1, 2, height, width)
    expected[0, 0, 0, 2], expected[0, 1, 5, 0] = 1, 0.5
    assert torch.equal(memory.masks.view_as(expected), expected)


@narrow
def test_the_forward_pass_is_to_encode_to_remember_and_to_decode():
    network, (frames, guides, known, masks) = tracker(), made_up(2, 2)
    with torch.inference_mode():
        whole = network(frames, guides, known, masks)
        memory = network.encode(known).memorize(masks)
        parts = network.decode(network.encode(frames), memory, guides)
    assert all(torch.allclose(one, two, atol=1e-5) for one, two in zip(whole, parts, strict=True))


@narrow
def test_the_order_of_memories_and_of_their_pixels_does_not_matter():
    network, (frames, guides, known, masks) = tracker(), made_up(1, 2)
    with torch.inference_mode():
        features = network.encode(frames)
        first, second = network.encode(known).memorize(masks), network.encode(-known).memorize(1 - masks)
        joined, swapped = join_memories([first, second]), join_memories([second, first])
        order = torch.randperm(joined.keys.shape[2], generator=torch.Generator().manual_seed(0))
        shuffled = Memory(joined.keys[..., order], joined.masks[..., order])
        scores, others, alone = (
            network.decode(features, memory, guides)[-1] for memory in (joined, swapped, first)
        )
        again = network.decode(features, shuffled, guides)[-1]
    for memory, parts in ((joined, (first, second)), (swapped, (second, first))):
        for name in ("keys", "masks"):
            halves = getattr(memory, name).chunk(2, dim=2)
            assert all(
                torch.equal(half, getattr(part, name)) for half, part in zip(halves, parts, strict=True)
            )
    assert torch.allclose(scores, others, atol=1e-5)
    assert torch.allclose(scores, again, atol=1e-5)
    assert not torch.allclose(scores, alone, atol=1e-4)


@narrow
def test_with_frozen_norms_training_and_evaluation_compute_the_same():
    network, inputs = tracker(), made_up(2)
    with torch.no_grad():
        assert not torch.allclose(network.train()(*inputs)[-1], network.eval()(*inputs)[-1])
        network.train().freeze_norm()
        assert network.training
        statistics = {key: value.clone() for key, value in network.named_buffers()}
        at_once = network(*inputs)[-1]
        assert torch.equal(at_once, network.eval()(*inputs)[-1])
        assert torch.equal(at_once, network.train()(*inputs)[-1])
    assert all(torch.equal(value, statistics[key]) for key, value in network.named_buffers())


@narrow
def test_scales_and_shifts_of_frozen_norms_still_learn():
    network = tracker()
    network.freeze_norm()
    network.train()(*made_up())[-1].square().mean().backward()
    norms = [module for module in network.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(norm.weight.grad.any() and norm.bias.grad.any() for norm in norms)


@narrow
def test_every_parameter_learns_from_the_losses():
    network = tracker().train()
    targets = torch.zeros(1, 2, *SIZE_HW)
    targets[:, 0, 10:30, 10:30] = 1
    targets[:, 1, 30:40, 40:60] = 1
    scores = network(*made_up(1, 2))
    sum(class_balanced_bce(score, targets, average="size") for score in scores).backward()
    idle = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not idle


@narrow
def test_half_precision_says_nearly_the_same():
    network, inputs = tracker(), made_up(1, 2)
    with torch.inference_mode():
        exact = network(*inputs)[-1]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = network(*inputs)[-1].float()
    assert (exact - rough).abs().max() < 0.1 * exact.abs().max()


def test_it_is_small():
    assert sum(parameter.numel() for parameter in LiteTracker().parameters()) < 6_500_000


def test_input_is_normalised_rgb():
    frames = lite_input(np.array([[[[255, 0, 0]]], [[[124, 116, 104]]]], dtype=np.uint8))
    assert frames.shape == (2, 3, 1, 1)
    assert frames.dtype == torch.float32
    red, green, blue = frames[0].ravel().tolist()
    assert red > 2
    assert max(green, blue) < -1.7
    assert frames[1].abs().max() < 0.02
