import numpy as np
import pytest
import torch
from torch import Tensor

from dextr_vos.networks.losses import class_balanced_bce, plain_bce


def sample(channels: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, 6, 7, generator=generator, dtype=torch.float64) * 3
    targets = (torch.rand(2, channels, 6, 7, generator=generator) < 0.2).double()
    return logits, targets


def written_out(logits: Tensor, targets: Tensor, void: Tensor | None = None) -> float:
    """The papers' formula, summed, pixel by pixel."""
    kept = [
        (x, t)
        for x, t, v in zip(
            logits.flatten().tolist(),
            targets.flatten().tolist(),
            [False] * logits.numel() if void is None else void.flatten().tolist(),
            strict=True,
        )
        if not v
    ]
    positives = sum(t for _, t in kept)
    loss = 0.0
    for x, t in kept:
        p = torch.sigmoid(torch.tensor(x, dtype=torch.float64))
        weight = (len(kept) - positives if t else positives) / len(kept)
        loss -= weight * torch.log(p if t else 1 - p).item()
    return loss


def test_equals_the_formula_written_out() -> None:
    logits, targets = sample()
    summed = written_out(logits, targets)
    assert class_balanced_bce(logits, targets, average="sum").item() == pytest.approx(summed)
    assert class_balanced_bce(logits, targets).item() == pytest.approx(summed / 2)
    assert class_balanced_bce(logits, targets, average="size").item() == pytest.approx(summed / 84)


def test_void_pixels_count_neither_way() -> None:
    logits, targets = sample()
    void = torch.zeros_like(targets, dtype=torch.bool)
    void[:, :, 2:4] = True
    loss = class_balanced_bce(logits, targets, void, average="sum").item()
    assert loss == pytest.approx(written_out(logits, targets, void))
    kept = [0, 1, 4, 5]
    for average in ("batch", "size", "sum"):
        for function in (class_balanced_bce, plain_bce):
            cut = function(logits[:, :, kept], targets[:, :, kept], average=average)
            assert function(logits, targets, void, average).item() == pytest.approx(cut.item())
            assert function(logits, 1 - targets * ~void, void.float(), average).item() == pytest.approx(
                function(logits, 1 - targets, void, average).item()
            )


def test_plain_channels_are_averaged() -> None:
    logits, targets = sample(3)
    void = torch.zeros(2, 1, 6, 7, dtype=torch.bool)
    void[:, :, 0] = True
    each = [plain_bce(logits[:, k : k + 1], targets[:, k : k + 1], void).item() for k in range(3)]
    assert plain_bce(logits, targets, void).item() == pytest.approx(sum(each) / 3)


def test_a_small_object_counts_as_much_as_a_large_one() -> None:
    """With the same logits everywhere, every channel has the same loss, whatever its object covers."""
    targets = torch.zeros(1, 2, 20, 20)
    targets[0, 0, :10] = 1
    targets[0, 1, 0, :2] = 1
    logits = torch.zeros(1, 2, 20, 20, requires_grad=True)
    class_balanced_bce(logits, targets).backward()
    assert logits.grad is not None
    large, small = logits.grad.abs().sum((0, 2, 3))
    assert float(small) == pytest.approx(float(large))
    void = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    void[..., 15:, :] = True
    masked = class_balanced_bce(logits.detach(), targets, void)
    assert masked < class_balanced_bce(logits.detach(), targets)


def test_an_absent_object_teaches_by_its_weight() -> None:
    targets = torch.zeros(1, 1, 8, 8)
    logits = torch.full((1, 1, 8, 8), 3.0, requires_grad=True)
    assert class_balanced_bce(logits, targets).item() == 0
    loss = class_balanced_bce(logits, targets, absent_weight=0.1)
    loss.backward()
    assert loss.item() == pytest.approx(0.1 * 64 * np.log1p(np.exp(3)), rel=1e-5)
    assert logits.grad is not None
    assert (logits.grad > 0).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_alone_gives_no_loss_and_no_gradient(value: float) -> None:
    logits = torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = class_balanced_bce(logits, torch.full((1, 1, 4, 4), value))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("function", [class_balanced_bce, plain_bce])
@pytest.mark.parametrize("average", ["batch", "size", "sum"])
def test_all_void_gives_no_loss(function, average) -> None:
    logits, targets = sample()
    assert function(logits, targets, torch.ones_like(targets, dtype=torch.bool), average).item() == 0


@pytest.mark.parametrize("function", [class_balanced_bce, plain_bce])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_huge_logits_stay_finite(function, dtype: torch.dtype) -> None:
    logits = torch.tensor([[[[-6e4, 6e4], [6e4, -6e4]]]], dtype=dtype, requires_grad=True)
    targets = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    loss = function(logits, targets)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_gradient_is_right() -> None:
    logits, targets = (tensor[..., :3, :3].clone() for tensor in sample(2))
    void = torch.arange(9).view(1, 1, 3, 3).expand(2, 1, 3, 3) > 6
    assert torch.autograd.gradcheck(
        lambda x: class_balanced_bce(x, targets, void), logits.requires_grad_(True)
    )


def test_gradient_weighs_both_classes_alike() -> None:
    logits = torch.zeros(1, 1, 10, 10, requires_grad=True)
    targets = torch.zeros(1, 1, 10, 10)
    targets[..., 0, :3] = 1
    class_balanced_bce(logits, targets).backward()
    assert logits.grad is not None
    assert logits.grad.sum().item() == pytest.approx(0, abs=1e-5)
    logits.grad = None
    plain_bce(logits, targets).backward()
    assert logits.grad.sum().item() > 40


def test_plain_is_pytorchs_own() -> None:
    logits, targets = sample()
    own = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    assert plain_bce(logits, targets, average="size").item() == pytest.approx(own.item())


@pytest.mark.parametrize("function", [class_balanced_bce, plain_bce])
def test_misuse_is_refused(function) -> None:
    logits, targets = sample()
    with pytest.raises(ValueError, match="one shape"):
        function(logits, targets[:, :, :3])
    with pytest.raises(ValueError, match="one shape"):
        function(logits[0], targets[0])
    with pytest.raises(ValueError, match="void of shape"):
        function(logits, targets, torch.zeros(6, 7))
    with pytest.raises(ValueError, match="batch, size or sum, not 'mean'"):
        function(logits, targets, average="mean")
