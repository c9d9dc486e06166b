import math

import pytest
import torch
import torch.nn.functional as F

from dextr_vos.networks.lite_tracker import (
    EncodedFrames,
    Memory,
    _read_memory_batched,
    _read_memory_of_frame,
    read_memory,
)
from dextr_vos.networks.mask_decoder import CUES

pytestmark = pytest.mark.usefixtures("one_thread")

RED, GREEN, BLUE = torch.eye(3)
SHARP = torch.tensor(50.0)


def made_up(objects, frames=2, channels=5, size_hw=(2, 3), pixels=7):
    """Random keys of unit length, and masks with all kinds of shares; one object is not there at all."""
    generator = torch.Generator().manual_seed(objects)
    keys = F.normalize(torch.randn(frames, channels, *size_hw, generator=generator).double(), dim=1)
    memory_keys = F.normalize(torch.randn(frames, channels, pixels, generator=generator).double(), dim=1)
    masks = torch.randint(0, 5, (frames, objects, pixels), generator=generator) / 4
    masks[0, -1] = 0
    return keys, memory_keys, masks.float()


def memory_of(keys, masks, counts=None):
    """A memory without summaries, of which each entry is one pixel."""
    return Memory(keys, masks, torch.ones_like(keys[:, 0]) if counts is None else counts, torch.empty(0))


def colours(*rows):
    """A row of pixels for each image, as keys 1×3×1×w."""
    return torch.stack(rows, dim=1)[None, :, None]


@pytest.mark.parametrize("objects", [1, 3])
def test_the_cues_are_those_of_a_search_through_all_pixels(objects):
    keys, memory_keys, masks = made_up(objects)
    cues = read_memory(keys, memory_of(memory_keys, masks), torch.tensor(4.0))
    assert cues.shape == (2, objects, CUES, 2, 3)
    for n in range(2):
        for k in range(objects):
            shares = masks[n, k].tolist()
            for y in range(2):
                for x in range(3):
                    cosines = [float(keys[n, :, y, x] @ memory_keys[n, :, m]) for m in range(7)]
                    weights = [math.exp(4 * cosine) for cosine in cosines]
                    pairs = list(zip(weights, shares, strict=True))
                    share = sum(weight * s for weight, s in pairs) / sum(weights)
                    on = [cosine for cosine, s in zip(cosines, shares, strict=True) if s >= 0.5]
                    off = [cosine for cosine, s in zip(cosines, shares, strict=True) if s < 0.5]
                    expected = [2 * share - 1, max(on, default=-1.0), max(off, default=-1.0)]
                    assert cues[n, k, :, y, x].tolist() == pytest.approx(expected, abs=1e-5)


def test_all_frames_at_once_give_what_one_after_the_other_gives(monkeypatch):
    monkeypatch.setattr("dextr_vos.networks.lite_tracker._COSINES_AT_ONCE", 50)
    keys, memory_keys, masks = made_up(2, frames=3, size_hw=(4, 5), pixels=11)
    masks[1, 0] = 1  # a memory that shows nothing but the object
    rows = keys.flatten(2).transpose(1, 2).requires_grad_()
    counts = torch.arange(1.0, 34).view(3, 11)
    one_by_one = torch.stack(
        [_read_memory_of_frame(rows[n], memory_keys[n], masks[n], counts[n], SHARP) for n in range(3)]
    )
    for mask, expected in zip(masks.unbind(1), one_by_one.unbind(1), strict=True):
        at_once = _read_memory_batched(rows, memory_keys, mask, counts, SHARP)
        assert torch.allclose(at_once, expected)
        grads = [
            torch.autograd.grad(cues.square().sum(), rows, retain_graph=True)[0]
            for cues in (at_once, expected)
        ]
        assert torch.allclose(*grads)


def test_pixels_find_the_object_they_look_like():
    memory = torch.stack([RED, GREEN, BLUE, BLUE], dim=1)[None]
    masks = torch.tensor([[[1.0, 0, 0, 0], [0, 1, 0, 0]]])
    cues = read_memory(colours(BLUE, GREEN, RED), memory_of(memory, masks), SHARP)[0, :, :, 0]
    red, green = cues
    assert red.tolist() == [[-1, -1, 1], [0, 0, 1], [1, 1, 0]]
    assert green.tolist() == [[-1, 1, -1], [0, 1, 0], [1, 0, 1]]


def test_the_order_of_the_memory_s_pixels_does_not_matter():
    keys, memory_keys, masks = made_up(2, pixels=20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    cues, shuffled, mixed_up = (
        read_memory(keys, memory_of(*parts), SHARP)
        for parts in (
            (memory_keys, masks),
            (memory_keys[..., order], masks[..., order]),
            (memory_keys[..., order], masks),
        )
    )
    assert torch.allclose(cues, shuffled, atol=1e-6)
    assert not torch.allclose(cues, mixed_up, atol=0.1)


def test_what_no_pixel_shows_is_not_seen():
    memory = torch.stack([RED, GREEN], dim=1)[None]
    nowhere, everywhere = read_memory(
        colours(RED, BLUE), memory_of(memory, torch.tensor([[[0.0, 0], [1, 1]]])), SHARP
    ).unbind(1)
    assert nowhere[0, :, 0].tolist() == [[-1, -1], [-1, -1], [1, 0]]
    assert everywhere[0, :, 0].tolist() == [[1, 1], [1, 0], [-1, -1]]


def test_sharpness_tells_how_much_the_most_alike_pixel_counts():
    memory = torch.stack([RED, GREEN], dim=1)[None]
    two = memory_of(memory, torch.tensor([[[1.0, 0]]]))
    values = [
        float(read_memory(colours(RED), two, torch.tensor(sharpness))[0, 0, 0, 0, 0])
        for sharpness in (0.0, 1.0, 10.0)
    ]
    assert values == pytest.approx([0, math.tanh(0.5), math.tanh(5)], abs=1e-5)


def test_frames_read_their_own_memory():
    keys, memory_keys, masks = made_up(2)
    together = read_memory(keys, memory_of(memory_keys, masks), SHARP)
    alone = read_memory(keys[1:], memory_of(memory_keys[1:], masks[1:]), SHARP)
    assert torch.allclose(together[1:], alone, atol=1e-6)


def test_an_entry_may_stand_for_several_pixels():
    keys, memory_keys, masks = made_up(2)
    counts = torch.tensor([[1, 4, 1, 1, 2, 1, 1], [1] * 7])
    counted = read_memory(keys, memory_of(memory_keys, masks, counts.float()), SHARP)
    repeated = memory_keys[:1].repeat_interleave(counts[0], 2), masks[:1].repeat_interleave(counts[0], 2)
    assert torch.allclose(counted[:1], read_memory(keys[:1], memory_of(*repeated), SHARP), atol=1e-6)


def thinned(masks, keys=None):
    """The memory of one frame of 6×6 pixels of the keys, each 8×8 pixels of the masks K×6×6."""
    if keys is None:
        generator = torch.Generator().manual_seed(0)
        keys = F.normalize(torch.randn(1, 5, *masks.shape[1:], generator=generator), dim=1)
    features = EncodedFrames((torch.rand(1, 2, 3, 3),), keys)
    masks = masks[None].repeat_interleave(8, 2).repeat_interleave(8, 3)
    return features.memorize_thinned(masks), features.memorize(masks)


def test_a_thinned_memory_keeps_the_pixels_on_outlines():
    masks = torch.zeros(1, 6, 6)
    masks[0, :3, :2] = 1  # its lower edge goes through the blocks in the second row
    thin, whole = thinned(masks)
    assert sorted(thin.counts[0].tolist()) == [1] * 4 + [4] * 8
    assert torch.equal(thin.summaries, whole.summaries)
    single = thin.counts[0] == 1
    on_outline = [2 * 6, 2 * 6 + 1, 3 * 6, 3 * 6 + 1]
    assert torch.allclose(thin.keys[:, :, single], whole.keys[:, :, on_outline], atol=1e-6)
    assert torch.equal(thin.masks[:, :, single], whole.masks[:, :, on_outline])
    assert torch.allclose(thin.keys.norm(dim=1), torch.tensor(1.0))


def test_a_thinned_memory_is_no_other_where_nothing_changes_within_blocks():
    masks = torch.zeros(2, 6, 6)
    masks[0, :2, :4], masks[1, 4:, 2:] = 1, 1
    block = F.normalize(torch.randn(1, 5, 3, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    thin, whole = thinned(masks, block.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert (thin.counts == 4).all()
    asked = made_up(1, frames=1)[0].float()
    assert torch.allclose(read_memory(asked, thin, SHARP), read_memory(asked, whole, SHARP), atol=1e-5)


def test_the_last_row_and_column_of_an_odd_size_are_kept():
    thin, _ = thinned(torch.zeros(1, 5, 7))
    assert thin.counts.sum() == 35
    assert sorted(thin.counts[0].tolist()) == [1] * (7 + 4) + [4] * 6
