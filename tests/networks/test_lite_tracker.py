from dataclasses import replace

import numpy as np
import pytest
import torch
from made_tracker import COARSE, SIZE_HW, made_up, tracker
from torch import nn

from dextr_vos.networks import tiny_vit
from dextr_vos.networks.checkpoint_file import is_lite_clicks
from dextr_vos.networks.checkpoints import load_into
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.lite_tracker import (
    KEY_STRIDE,
    KEY_WIDTH,
    LiteTracker,
    join_memories,
    lite_input,
    normalize_frames,
    state_from_click_network,
)
from dextr_vos.networks.losses import plain_bce
from dextr_vos.networks.prompt_decoder import HINTS

pytestmark = pytest.mark.usefixtures("one_thread")
narrow = pytest.mark.usefixtures("narrow_lite")


def decoded(network, frames, guides, known, masks):
    """Logits and quality of frames, each with one known frame."""
    return network.decode(network.encode(frames), network.encode(known).memorize(masks), guides)


@narrow
@pytest.mark.parametrize("size_hw", [(32, 32), (48, 64), (16, 112)])
@pytest.mark.parametrize("objects", [1, 3])
def test_logits_have_the_size_of_the_frames_and_every_object_a_quality(size_hw, objects):
    with torch.inference_mode():
        logits, quality = decoded(tracker(), *made_up(2, objects, size_hw))
    assert logits.shape == (2, objects, *size_hw)
    assert quality.shape == (2, objects)
    assert logits.isfinite().all()
    assert quality.isfinite().all()


@narrow
def test_samples_of_a_batch_do_not_see_one_another():
    network, inputs = tracker(), made_up(3, 2)
    with torch.inference_mode():
        together = decoded(network, *inputs)
        alone = decoded(network, *(each[1:2] for each in inputs))
    for one, by_itself in zip(together, alone, strict=True):
        assert torch.allclose(one[1:2], by_itself, atol=1e-4)


@narrow
def test_objects_do_not_see_one_another():
    network, (frames, guides, known, masks) = tracker(), made_up(2, 3)
    with torch.inference_mode():
        together = decoded(network, frames, guides, known, masks)
        for number in range(3):
            one = slice(number, number + 1)
            alone = decoded(network, frames, guides[:, one], known, masks[:, one])
            for said, by_itself in zip(together, alone, strict=True):
                assert torch.allclose(said[:, one], by_itself, atol=1e-4)
    assert not torch.allclose(together[0][:, 0], together[0][:, 1], atol=1e-3)


@narrow
@pytest.mark.parametrize("changed", range(4), ids=["frame", "guide", "known frame", "known mask"])
def test_everything_given_matters(changed):
    network, inputs = tracker(), list(made_up())
    with torch.inference_mode():
        before = decoded(network, *inputs)
        inputs[changed] = 1 - inputs[changed]
        after = decoded(network, *inputs)
    for one, two in zip(before, after, strict=True):
        assert (one - two).abs().max() > 1e-4


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
def test_a_frame_sums_up_its_objects_and_what_is_around_each():
    network, masks = tracker(), torch.zeros(1, 2, *SIZE_HW)
    masks[:, 0, 16:32, 32:64] = 1  # two pixels of the embedding; the second object is not there
    with torch.inference_mode():
        features = network.encode(made_up()[0])
        summaries = features.memorize(masks).summaries
    embedding = features.maps[-1][0]
    assert summaries.shape == (1, 2, 1, 2, tiny_vit.EMBEDDING)
    on = embedding[:, 1, 2:4]
    everything = embedding.mean((1, 2))
    height, width = (side // COARSE for side in SIZE_HW)
    off = (everything * height * width - on.sum(1)) / (height * width - 2)
    assert torch.allclose(summaries[0, 0, 0, 0], on.mean(1), atol=1e-5)
    assert torch.allclose(summaries[0, 0, 0, 1], off, atol=1e-5)
    assert not summaries[0, 1, 0, 0].any()
    assert torch.allclose(summaries[0, 1, 0, 1], everything, atol=1e-5)


@narrow
def test_pairs_for_fine_tuning_are_decoded_like_frames_with_a_memory():
    network, (frames, guides, known, masks) = tracker(), made_up(2, 2)
    with torch.inference_mode():
        logits, _ = decoded(network, frames, guides, known, masks)
        of_pairs = network.decode_pairs(network.encoder(frames), guides, network.encoder(known), masks)
    assert torch.allclose(of_pairs, logits, atol=1e-5)


@narrow
def test_the_order_of_memories_and_of_their_pixels_does_not_matter():
    network, (frames, guides, known, masks) = tracker(), made_up(1, 2)
    with torch.inference_mode():
        features = network.encode(frames)
        first, second = network.encode(known).memorize(masks), network.encode(-known).memorize(1 - masks)
        joined, swapped = join_memories([first, second]), join_memories([second, first])
        order = torch.randperm(joined.keys.shape[2], generator=torch.Generator().manual_seed(0))
        shuffled = replace(joined, keys=joined.keys[..., order], masks=joined.masks[..., order])
        logits, others, again, alone = (
            network.decode(features, memory, guides)[0] for memory in (joined, swapped, shuffled, first)
        )
    for memory, parts in ((joined, (first, second)), (swapped, (second, first))):
        for name in ("keys", "masks", "summaries"):
            halves = getattr(memory, name).chunk(2, dim=2)
            assert all(
                torch.equal(half, getattr(part, name)) for half, part in zip(halves, parts, strict=True)
            )
    assert torch.allclose(logits, others, atol=1e-4)
    assert torch.allclose(logits, again, atol=1e-4)
    assert not torch.allclose(logits, alone, atol=1e-3)


@narrow
def test_training_and_evaluation_compute_the_same_and_norms_keep_their_statistics():
    network, inputs = tracker(), made_up(2)
    statistics = {key: value.clone() for key, value in network.named_buffers()}
    with torch.no_grad():
        learning, using = decoded(network.train(), *inputs), decoded(network.eval(), *inputs)
    assert all(torch.equal(one, two) for one, two in zip(learning, using, strict=True))
    assert all(torch.equal(value, statistics[key]) for key, value in network.named_buffers())


@narrow
def test_half_precision_says_nearly_the_same():
    network, inputs = tracker(), made_up(1, 2)
    with torch.inference_mode():
        exact, _ = decoded(network, *inputs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough, _ = decoded(network, *inputs)
    assert (exact - rough.float()).abs().max() < 0.1 * exact.abs().max()


def sequences(count=1, length=3):
    """What the network is trained on: one known frame and `length` to track through, nothing moves."""
    generator = torch.Generator().manual_seed(7)
    frames = torch.randn(count, 1 + length, 3, *SIZE_HW, generator=generator)
    masks, guides = torch.zeros(count, 1, *SIZE_HW), torch.full((count, 1, *SIZE_HW), -1.0)
    masks[:, :, 10:30, 8:40] = 1
    guides[:, :, 10:30, 8:40] = 1
    return frames, masks, guides, torch.zeros(count, length - 1, 2, 24, 32)


def sure_tracker():
    """A network that finds the object in about half of every frame."""
    network = tracker()
    with torch.inference_mode():
        logits = torch.stack([logits for logits, _ in network(*sequences())])
    nn.init.constant_(network.decoder.detail[-1].bias, float(-logits.median()))
    return network


@narrow
def test_a_frame_is_tracked_from_the_mask_of_the_frame_before_and_with_it_as_memory():
    network, (frames, masks, guides, flows) = sure_tracker(), sequences()
    with torch.inference_mode():
        known, first, second, third = (network.encode(each) for each in frames.unbind(1))
        memory = known.memorize(masks)
        expected = [network.decode(first, memory, guides)]
        for before, now in ((first, second), (second, third)):
            probs = expected[-1][0].sigmoid()
            if before is first:
                memory = join_memories([memory, before.memorize(probs)])
            expected.append(network.decode(now, memory, 2 * probs - 1))
        tracked = network(frames, masks, guides, flows, remember=1)
    assert len(tracked) == 3
    for (logits, quality), (expected_logits, expected_quality) in zip(tracked, expected, strict=True):
        assert 0.1 < (logits > 0).float().mean() < 0.9
        assert torch.allclose(logits, expected_logits, atol=1e-3)
        assert torch.allclose(quality, expected_quality[:, 0], atol=1e-3)


@narrow
def test_masks_are_remembered_as_often_as_asked_for():
    network, inputs = sure_tracker(), sequences()
    with torch.inference_mode():
        never, once, twice = ([each[0] for each in network(*inputs, remember)] for remember in range(3))
    assert torch.equal(never[0], once[0])
    assert not torch.allclose(never[1], once[1], atol=1e-4)
    assert torch.equal(once[1], twice[1])
    assert not torch.allclose(once[2], twice[2], atol=1e-4)


@narrow
def test_a_flow_moves_the_guide_of_the_frames_after_it():
    network, (frames, masks, guides, flows) = sure_tracker(), sequences()
    moved = flows.clone()
    moved[:, 1] = 0.25
    with torch.inference_mode():
        still, after = (
            [logits for logits, _ in network(frames, masks, guides, each)] for each in (flows, moved)
        )
    assert torch.equal(still[0], after[0])
    assert torch.equal(still[1], after[1])
    assert not torch.allclose(still[2], after[2], atol=1e-4)


@narrow
def test_sequences_of_a_batch_do_not_see_one_another():
    network, inputs = sure_tracker(), sequences(count=3)
    with torch.inference_mode():
        together = network(*inputs, remember=1)
        alone = network(*(each[1:2] for each in inputs), remember=1)
    for (logits, quality), (by_itself, its_quality) in zip(together, alone, strict=True):
        assert torch.allclose(logits[1:2], by_itself, atol=1e-3)
        assert torch.allclose(quality[1:2], its_quality, atol=1e-3)


def learned(network, inputs, **options):
    """The names of the parameters that a loss on all predictions reaches."""
    target = torch.zeros(len(inputs[0]), 1, *SIZE_HW)
    target[:, :, 10:30, 10:30] = 1
    tracked = network.train()(*inputs, **options)
    sum(plain_bce(logits, target) + quality.square().mean() for logits, quality in tracked).backward()
    return {key for key, value in network.named_parameters() if value.grad is not None and value.grad.any()}


@narrow
def test_every_parameter_learns_from_the_losses():
    network, inputs = sure_tracker(), sequences(count=2, length=2)
    inputs[2][0] = 0  # one sequence begins without a guide
    # attention does not change when all its keys move alike
    expected = {key for key, _ in network.named_parameters() if not key.endswith(".key.bias")}
    assert not expected - learned(network, inputs, remember=1)


@narrow
def test_the_encoder_can_stay_as_it_is_while_the_rest_learns():
    network = sure_tracker()
    reached = learned(network, sequences(length=2), encoder_learns=False)
    assert {"key.weight", "decoder.tokens", "decoder.summary.weight"} <= reached
    assert not any(key.startswith("encoder.") for key in reached)


@narrow
def test_it_starts_from_a_network_for_clicks():
    torch.manual_seed(1)
    clicks, network = LiteClicks().eval(), tracker()
    for parameter in clicks.parameters():
        nn.init.normal_(parameter, std=0.05)
    for key, buffer in clicks.named_buffers():
        if key.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2.0)
    theirs, own = clicks.state_dict(), {key: each.clone() for key, each in network.state_dict().items()}
    state = state_from_click_network(network, theirs)
    assert not is_lite_clicks(state)
    load_into(network, state, "clicks")
    image = torch.randint(0, 256, (1, *SIZE_HW, 3), dtype=torch.uint8)
    with torch.inference_mode():
        maps, expected = (
            network.encode(normalize_frames(image)).maps,
            clicks.encode(image.permute(0, 3, 1, 2)),
        )
    assert all(torch.allclose(one, two, atol=1e-4) for one, two in zip(maps, expected, strict=True))
    assert all(torch.equal(state[key], each) for key, each in theirs.items() if key.startswith("encoder."))
    first = "decoder.detail.0.weight"
    assert torch.equal(state[first][:, :-HINTS], theirs[first][:, :-HINTS])
    assert not state[first][:, -HINTS:].any()
    # what a network for clicks does not have is as it was, and all the rest is the other's
    assert all(torch.equal(each, theirs.get(key, own[key])) for key, each in state.items() if key != first)
    kept = {".".join(key.split(".")[:2]) for key in state if key not in theirs}
    assert kept == {
        "key.weight", "key.bias", "sharpness", "decoder.summary", "decoder.summary_kinds",
        "decoder.cues_sixteenth", "decoder.refine_eighth", "decoder.refine_quarter",
    }  # fmt: skip


def test_it_is_small():
    assert sum(parameter.numel() for parameter in LiteTracker().parameters()) < 10_000_000


def test_input_is_normalised_rgb():
    frames = lite_input(np.array([[[[255, 0, 0]]], [[[124, 116, 104]]]], dtype=np.uint8))
    assert frames.shape == (2, 3, 1, 1)
    assert frames.dtype == torch.float32
    red, green, blue = frames[0].ravel().tolist()
    assert red > 2
    assert max(green, blue) < -1.7
    assert frames[1].abs().max() < 0.02


@narrow
def test_frames_without_the_object_do_not_dilute_what_is_known_of_it():
    network, (frames, guides, known, masks) = tracker(), made_up()
    with torch.inference_mode():
        features = network.encode(frames)
        memory = network.encode(known).memorize(masks)
        absent = network.encode(-known).memorize(torch.zeros_like(masks))
        assert not absent.summaries[:, :, 0, 0].any()
        # the summaries of one frame beside the pixels of both
        both = join_memories([memory, absent])
        alone = replace(both, summaries=memory.summaries)
        around = both.summaries[:, :, :, 1].mean(2)
        alone.summaries[:, :, 0, 1] = around
        expected, found = (network.decode(features, each, guides)[0] for each in (alone, both))
    assert torch.allclose(found, expected, atol=1e-5)
