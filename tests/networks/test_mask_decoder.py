import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dextr_vos.networks.lite_tracker import warped_guide
from dextr_vos.networks.mask_decoder import CUES, MaskDecoder
from dextr_vos.networks.prompt_decoder import EXTREME, HINTS, POSITIVE, PromptDecoder, Prompts
from dextr_vos.networks.tiny_vit import EIGHTH_CHANNELS, EMBEDDING, HALF_CHANNELS, QUARTER_CHANNELS

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE_HW = (64, 96)
CHANNELS = {2: HALF_CHANNELS, 4: QUARTER_CHANNELS, 8: EIGHTH_CHANNELS, 16: EMBEDDING}


def made_up(count=2):
    """Maps, guide, cues and summaries."""
    generator = torch.Generator().manual_seed(4)

    def random(channels, stride):
        return torch.randn(count, channels, *(side // stride for side in SIZE_HW), generator=generator)

    maps = [random(channels, stride) for stride, channels in CHANNELS.items()]
    guide = (random(1, 16) > 0).float().repeat_interleave(16, 2).repeat_interleave(16, 3) * 2 - 1
    cues, summaries = random(CUES, 8).clamp(-1, 1), torch.randn(count, 2, EMBEDDING, generator=generator)
    return maps, guide, cues, summaries


def fresh_decoder(seed=0):
    torch.manual_seed(seed)
    return MaskDecoder().eval()


def wake(*modules):
    """As after some training: nothing is zero any more."""
    for module in modules:
        for parameter in module.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)


@torch.inference_mode()
def test_logits_are_at_half_size_and_every_mask_has_a_quality():
    logits, quality = fresh_decoder()(*made_up())
    assert logits.shape == (2, 1, SIZE_HW[0] // 2, SIZE_HW[1] // 2)
    assert quality.shape == (2,)


def differences(decoder, one, other):
    """How far logits and qualities are apart."""
    return [float((a - b).abs().max()) for a, b in zip(decoder(*one), decoder(*other), strict=True)]


@torch.inference_mode()
def test_a_fresh_decoder_heeds_guide_and_summaries_and_does_not_know_cues_yet():
    decoder, (maps, guide, cues, summaries) = fresh_decoder(), made_up()
    given = maps, guide, cues, summaries
    assert differences(decoder, given, (maps, guide, -cues, summaries)) == [0, 0]
    assert min(differences(decoder, given, (maps, -guide, cues, summaries))) > 1e-5
    assert min(differences(decoder, given, (maps, guide, cues, -summaries))) > 1e-5


@torch.inference_mode()
def test_a_trained_decoder_heeds_cues_and_tells_the_object_from_its_surroundings():
    decoder, (maps, guide, cues, summaries) = fresh_decoder(), made_up()
    wake(decoder)
    decoder.summary_kinds.mul_(20)
    given = maps, guide, cues, summaries
    assert min(differences(decoder, given, (maps, guide, -cues, summaries))) > 1e-4
    assert min(differences(decoder, given, (maps, guide, cues, summaries.flip(1)))) > 1e-4


@torch.inference_mode()
def test_a_guide_of_zeros_is_none():
    decoder, (maps, guide, cues, summaries) = fresh_decoder(), made_up()
    guide[0] = 0
    before, _ = decoder(maps, guide, cues, summaries)
    nn.init.normal_(decoder.prompts.no_mask)
    no_mask_changed, _ = decoder(maps, guide, cues, summaries)
    assert not torch.allclose(before[0], no_mask_changed[0], atol=1e-4)
    assert torch.equal(before[1], no_mask_changed[1])
    for layer in decoder.prompts.mask:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight)
    mask_changed, _ = decoder(maps, guide, cues, summaries)
    assert torch.equal(no_mask_changed[0], mask_changed[0])
    assert not torch.allclose(no_mask_changed[1], mask_changed[1], atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("part", ["refine_eighth", "refine_quarter", "detail"])
def test_cues_and_guide_change_the_finer_maps_where_they_are(part):
    decoder, (maps, guide, cues, summaries) = fresh_decoder(), made_up(1)
    wake(getattr(decoder, part))
    plain, _ = decoder(maps, guide, cues, summaries)
    cues = cues.clone()
    cues[..., :2, 9:] *= -1  # the upper right corner
    changed = (decoder(maps, guide, cues, summaries)[0] - plain)[0, 0].abs() > 1e-6
    ys, xs = changed.nonzero(as_tuple=True)
    assert len(ys)
    assert ys.max() < 20
    assert xs.min() > 25


@torch.inference_mode()
def test_it_begins_as_the_decoder_of_clicks_with_the_guide_as_the_mask_so_far():
    """With the summaries taking the place of two points, both say the same."""
    torch.manual_seed(0)
    clicks, decoder = PromptDecoder().eval(), fresh_decoder(1)
    wake(clicks)
    # hints of clicks become hints of a guide, so they do not count at first
    clicks.detail[0].weight[:, -HINTS:] = 0
    shared = {key: each for key, each in clicks.state_dict().items() if key in decoder.state_dict()}
    decoder.load_state_dict(decoder.state_dict() | shared)
    maps, _, cues, summaries = made_up()
    mask = torch.rand(2, 1, *(side // 4 for side in SIZE_HW))
    places, kinds = torch.rand(1, 2, 2), torch.tensor([[EXTREME, POSITIVE]])
    points = places.repeat(2, 1, 1), kinds.repeat(2, 1)
    prompts = Prompts(*points, mask, torch.tensor([True, False]))
    nn.init.zeros_(decoder.summary.weight)
    nn.init.zeros_(decoder.summary.bias)
    decoder.summary_kinds.copy_(clicks.prompts(prompts)[0][0])
    guide = F.interpolate(2 * mask - 1, size=SIZE_HW, mode="nearest")
    guide[1] = 0
    for one, two in zip(decoder(maps, guide, cues, summaries), clicks(tuple(maps), prompts), strict=True):
        assert torch.allclose(one, two, atol=1e-4)


@torch.inference_mode()
def test_hints_in_the_weights_of_a_network_for_clicks_are_dropped():
    decoder = fresh_decoder()
    weight = torch.randn_like(decoder.detail[0].weight)
    before = weight.clone()
    changed = decoder.detail_from_clicks(weight)
    assert torch.equal(weight, before)
    assert torch.equal(changed[:, :-HINTS], weight[:, :-HINTS])
    assert not changed[:, -HINTS:].any()


def probs_of(*boxes, size_hw=(48, 64)):
    """Masks with a rectangle each: first row, last row, first column, last column."""
    probs = torch.zeros(len(boxes), 1, *size_hw)
    for number, (top, bottom, left, right) in enumerate(boxes):
        probs[number, :, top:bottom, left:right] = 1
    return probs


def flow_of(right, down, count=1):
    """A constant flow in shares of width and height, at half the size of the masks."""
    return torch.tensor([right, down]).view(1, 2, 1, 1).repeat(count, 1, 24, 32)


def test_a_guide_is_the_mask_moved_against_the_flow():
    # the flow leads from a frame back to the one before it: what was further left has moved to the right
    guide = warped_guide(probs_of((10, 30, 8, 20)), flow_of(-16 / 64, -6 / 48))
    assert torch.allclose(guide, 2 * probs_of((16, 36, 24, 36)) - 1, atol=1e-3)


def test_without_motion_a_guide_is_the_mask_itself_soft_as_it_is():
    probs = torch.rand(2, 1, 48, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warped_guide(probs, flow_of(0.0, 0.0, 2)), 2 * probs - 1, atol=1e-3)


def test_nothing_comes_in_from_outside():
    guide = warped_guide(probs_of((0, 48, 0, 64)), flow_of(-16 / 64, 0.0))
    assert torch.allclose(guide[..., :15], torch.tensor(-1.0))
    assert torch.allclose(guide[..., 17:], torch.tensor(1.0))


def test_an_object_that_is_lost_leaves_no_guide():
    there, left, unsure = probs_of((10, 30, 40, 60), (10, 30, 40, 60), (0, 48, 0, 64))
    probs = torch.stack([there, left, 0.4 * unsure])
    flow = torch.cat([flow_of(0.0, 0.0), flow_of(0.5 - 1, 0.0), flow_of(0.0, 0.0)])
    guide = warped_guide(probs, flow)
    assert guide[0].max() == 1
    assert not guide[1].any()
    assert not guide[2].any()


def test_what_resizing_leaves_of_no_guide_is_no_guide():
    decoder, (maps, guide, cues, summaries) = fresh_decoder(), made_up()
    wake(decoder)
    none = torch.zeros_like(guide)
    with torch.inference_mode():
        exact = decoder(maps, none, cues, summaries)[0]
        nearly = decoder(maps, none + 1e-7, cues, summaries)[0]
        guided = decoder(maps, guide, cues, summaries)[0]
    assert torch.allclose(exact, nearly, atol=1e-4)
    assert not torch.allclose(exact, guided, atol=1e-2)
