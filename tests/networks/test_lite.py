import numpy as np
import pytest
import torch

from dextr_vos.networks.lite import LitePropagation, from_lite_dextr, lite_input
from dextr_vos.networks.lite_dextr import LiteDextr
from dextr_vos.networks.losses import class_balanced_bce

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("size_hw", [(32, 32), (48, 64), (47, 65), (33, 120)])
@pytest.mark.parametrize("objects", [1, 3])
def test_scores_have_the_size_of_the_frames(size_hw, objects):
    network = LitePropagation(objects).eval()
    with torch.inference_mode():
        scores = network(torch.randn(2, 3, *size_hw))
    assert len(scores) == 4
    assert all(score.shape == (2, objects, *size_hw) for score in scores)
    assert all(score.isfinite().all() for score in scores)


def test_samples_of_a_batch_do_not_see_one_another():
    network = LitePropagation(1).eval()
    frames = torch.randn(3, 3, 48, 64)
    with torch.inference_mode():
        together, alone = network(frames)[-1], network(frames[1:2])[-1]
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_with_frozen_norms_training_and_evaluation_compute_the_same():
    network, frames = LitePropagation(1), torch.randn(2, 3, 48, 64)
    with torch.no_grad():
        assert not torch.allclose(network.train()(frames)[-1], network.eval()(frames)[-1])
        network.freeze_norm()
        statistics = {key: value.clone() for key, value in network.named_buffers()}
        assert torch.equal(network.train()(frames)[-1], network.eval()(frames)[-1])
    assert all(torch.equal(value, statistics[key]) for key, value in network.named_buffers())


def test_it_starts_from_lite_dextr():
    dextr, network = LiteDextr(), LitePropagation(2)
    state = from_lite_dextr(network, dextr.state_dict())
    network.load_state_dict(state)
    frames = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        ours = network.eval().decoder(network.encoder(frames))[-1]
        heat = torch.zeros(1, 1, 48, 64)
        theirs = dextr.eval().decoder(dextr.encoder(torch.cat([frames, heat], dim=1)))[-1]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_every_parameter_learns_from_the_losses():
    network = LitePropagation(2)
    targets = torch.zeros(1, 2, 48, 64)
    targets[:, 0, 10:30, 10:30] = 1
    targets[:, 1, 30:40, 40:60] = 1
    scores = network(torch.randn(1, 3, 48, 64))
    sum(class_balanced_bce(score, targets, average="size") for score in scores).backward()
    idle = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not idle


def test_it_is_small():
    assert sum(parameter.numel() for parameter in LitePropagation(1).parameters()) < 6_500_000


def test_input_is_normalised_rgb():
    frames = lite_input(np.array([[[[255, 0, 0]]], [[[124, 116, 104]]]], dtype=np.uint8))
    assert frames.shape == (2, 3, 1, 1)
    assert frames.dtype == torch.float32
    red, green, blue = frames[0].ravel().tolist()
    assert red > 2
    assert max(green, blue) < -1.7
    assert frames[1].abs().max() < 0.02
