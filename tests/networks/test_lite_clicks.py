import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dextr_vos.errors import WeightsError
from dextr_vos.networks.checkpoint_file import is_lite_clicks
from dextr_vos.networks.lite_clicks import LiteClicks, mobile_sam_state
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.networks.prompt_decoder import EXTREME, NEGATIVE, PADDING, POSITIVE, Prompts
from dextr_vos.networks.tiny_vit import fold_constants

SHAPES = json.loads((Path(__file__).parent / "mobile_sam_shapes.json").read_text())


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = LiteClicks()
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


@pytest.fixture(scope="module")
def image():
    return 255 * torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def prompts(*kinds, size=(64, 96)):
    generator = torch.Generator().manual_seed(1)
    height, width = (side // 4 for side in size)
    return Prompts(
        torch.rand(2, len(kinds), 2, generator=generator),
        torch.tensor([kinds, kinds]),
        torch.rand(2, 1, height, width, generator=generator),
        torch.tensor([False, False]),
    )


@torch.inference_mode()
def test_maps_have_the_strides_2_4_8_and_16(network, image):
    shapes = [tuple(each.shape) for each in network.encode(image)]
    assert shapes == [(2, 32, 32, 48), (2, 64, 16, 24), (2, 128, 8, 12), (2, 256, 4, 6)]


@torch.inference_mode()
def test_logits_are_at_half_size_and_every_mask_has_a_quality(network, image):
    logits, quality = network.decode(network.encode(image), prompts(EXTREME, POSITIVE, PADDING))
    assert logits.shape == (2, 1, 32, 48)
    assert quality.shape == (2,)


@torch.inference_mode()
def test_an_image_is_alone_in_its_batch(network, image):
    known = prompts(EXTREME, EXTREME, NEGATIVE)
    together, _ = network.decode(network.encode(image), known)
    alone = Prompts(*(each[1:] for each in (known.points_xy, known.kinds, known.mask, known.has_mask)))
    torch.testing.assert_close(
        network.decode(network.encode(image[1:]), alone)[0], together[1:], rtol=1e-4, atol=1e-5
    )


@torch.inference_mode()
def test_all_that_is_known_counts(network, image):
    maps = network.encode(image)
    known = prompts(POSITIVE, POSITIVE)
    plain, _ = network.decode(maps, known)
    others = [
        replace(known, kinds=torch.tensor([[POSITIVE, NEGATIVE]] * 2)),
        replace(known, points_xy=known.points_xy.flip(1) * torch.tensor([0.5, 1.0])),
        replace(known, has_mask=torch.tensor([True, True])),
    ]
    for other in others:
        assert (network.decode(maps, other)[0] - plain).abs().max() > 1e-5
    # a mask that does not count, and where padding lies, change nothing
    unused = replace(known, mask=1 - known.mask)
    torch.testing.assert_close(network.decode(maps, unused)[0], plain, rtol=0, atol=0)
    padded = prompts(POSITIVE, PADDING)
    moved = replace(padded, points_xy=padded.points_xy * torch.tensor([[[1.0], [0.3]]]))
    torch.testing.assert_close(
        network.decode(maps, padded)[0], network.decode(maps, moved)[0], rtol=0, atol=0
    )


@torch.inference_mode()
def test_constants_fold_without_a_change(network, image):
    folded = LiteClicks().eval()
    folded.load_state_dict(network.state_dict())
    fold_constants(folded.encoder)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    for one, other in zip(folded.encode(image), network.encode(image), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_corrections_see_the_logits_and_are_seen_by_the_next_round(network, image):
    asked = []

    def correct(logits, before):
        assert not logits.requires_grad
        asked.append(before)
        return before.corrected(
            torch.full((2, 2), 0.5), torch.tensor([POSITIVE, NEGATIVE]), torch.ones(2, 1, 16, 24)
        )

    predictions = network(image, prompts(EXTREME, EXTREME), correct, 2)
    assert len(predictions) == 3
    assert [each.kinds.shape[1] for each in asked] == [2, 3]
    assert asked[1].has_mask.all()
    assert asked[1].kinds[:, -1].tolist() == [POSITIVE, NEGATIVE]
    assert (predictions[1][0] - predictions[0][0]).abs().max() > 0


def test_norms_keep_their_statistics_while_the_network_learns(network, image):
    before = {key: tensor.clone() for key, tensor in network.state_dict().items() if "running" in key}
    network.train()
    network(image, prompts(EXTREME), lambda logits, known: known, 0)
    network.eval()
    after = network.state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())


def test_it_has_everything_that_mobile_sam_has(network):
    published = {key: torch.full(shape, 1000.0 + place) for place, (key, shape) in enumerate(SHAPES.items())}
    state = mobile_sam_state(network, published)
    LiteClicks().load_state_dict(state)
    # what MobileSAM lacks, and nothing else, is the network's own
    own = {key for key, tensor in state.items() if torch.equal(tensor, network.state_dict()[key])}
    assert {key.split(".")[1] for key in own} == {"add_eighth", "add_quarter", "detail"}
    assert torch.equal(state["decoder.prompts.kinds"][EXTREME], state["decoder.prompts.kinds"][POSITIVE])


def test_another_checkpoint_is_refused(network):
    with pytest.raises(WeightsError, match=r"expected a checkpoint of MobileSAM, mobile_sam\.pt"):
        mobile_sam_state(network, {"image_encoder.neck.0.weight": torch.zeros(1)})


def test_its_state_is_recognised(network):
    assert is_lite_clicks(network.state_dict())
    assert not is_lite_clicks(LiteTracker().state_dict())
