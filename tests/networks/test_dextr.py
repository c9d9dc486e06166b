import pytest
import torch
from golden_weights import read_golden, shapes

from dextr_vos.errors import InputError
from dextr_vos.networks.dextr import (
    Dextr,
    Head,
    freeze_backbone_norm,
    paper_optimizer,
    parameter_groups,
    upsample_logits,
)

HEADS: tuple[Head, Head] = ("psp", "atrous")
narrow = pytest.mark.usefixtures("narrow_dextr")


def small(head: Head = "psp") -> Dextr:
    return Dextr(head, blocks=(1, 1, 2, 1))


@pytest.mark.parametrize("head", HEADS)
def test_keys_and_shapes_are_those_of_the_published_checkpoints(head: Head) -> None:
    with torch.device("meta"):
        network = Dextr(head)
    assert shapes(network) == read_golden(f"dextr_keys_{head}.json")


@narrow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (61, 100), (9, 17)])
def test_any_size_gives_logits_at_an_eighth(head: Head, height: int, width: int) -> None:
    with torch.inference_mode():
        logits = small(head).eval()(torch.rand(2, 4, height, width) * 255)
        full = upsample_logits(logits, (height, width))
    assert logits.shape == (2, 1, -(-height // 8), -(-width // 8))
    assert full.shape == (2, 1, height, width)
    # corners aligned: the corner of the large map is the corner of the small one
    torch.testing.assert_close(full[..., 0, 0], logits[..., 0, 0])
    torch.testing.assert_close(full[..., -1, -1], logits[..., -1, -1])


@narrow
def test_without_clicks_it_takes_three_channels() -> None:
    with torch.inference_mode():
        assert Dextr(input_channels=3, blocks=(1, 1, 1, 1)).eval()(torch.rand(1, 3, 32, 32)).shape == (
            1,
            1,
            4,
            4,
        )


@narrow
@pytest.mark.parametrize("head", HEADS)
def test_training_moves_all_but_the_backbones_norm(head: Head) -> None:
    network = small(head).train()
    frozen = {
        f"{name}.{kind}"
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d) and not name.startswith("layer5.")
        for kind in ("weight", "bias")
    }
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    optimizer = paper_optimizer(network, lr=1e-3)
    network(torch.rand(2, 4, 64, 64) * 255).square().mean().backward()
    optimizer.step()
    moved = {key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved == set(before) - frozen  # running statistics move, in the backbone too
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (name in frozen)


@narrow
def test_the_head_learns_ten_times_as_fast() -> None:
    network = small()
    groups = paper_optimizer(network).param_groups
    assert [(g["name"], g["lr"], g["momentum"], g["weight_decay"]) for g in groups] == [
        ("backbone", 1e-8, 0.9, 5e-4),
        ("head", pytest.approx(1e-7), 0.9, 5e-4),
    ]
    backbone, head = ({id(p) for p in group["params"]} for group in groups)
    assert head == {id(p) for p in network.layer5.parameters()}
    assert backbone.isdisjoint(head)


@narrow
def test_norm_can_be_thawed_and_frozen_again() -> None:
    network = small()
    few = len(parameter_groups(network)[0]["params"])
    network.requires_grad_(True)
    assert len(parameter_groups(network)[0]["params"]) > few
    freeze_backbone_norm(network)
    assert len(parameter_groups(network)[0]["params"]) == few


@narrow
def test_psp_tells_why_one_sample_cannot_be_trained_on() -> None:
    one = torch.rand(1, 4, 32, 32)
    with pytest.raises(InputError, match="batch of at least 2"):
        small("psp").train()(one)
    assert small("psp").eval()(one).shape == (1, 1, 4, 4)
    assert small("atrous").train()(one).shape == (1, 1, 4, 4)


def test_unknown_head_is_refused() -> None:
    with pytest.raises(InputError, match="psp, atrous, not 'aspp'"):
        Dextr("aspp")  # type: ignore[arg-type]


@narrow
def test_construction_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    small()
    assert capfd.readouterr() == ("", "")
