"""Convolution with GELU, and attention with a bias, in the faster forms for prediction."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

from dextr_vos.cpu_layers import _HAS_FUSED_GELU, biased_attention, conv_gelu
from dextr_vos.runtime import bf16_is_faster

CPU = torch.device("cpu")
BF16 = pytest.param(
    torch.bfloat16,
    marks=pytest.mark.skipif(not bf16_is_faster(CPU), reason="this CPU does not compute in bf16"),
)
LAYERS = {
    "with a stride": {"kernel_size": 3, "stride": 2, "padding": 1},
    "pixel by pixel, without a bias": {"kernel_size": 1, "bias": False},
    "depthwise": {"kernel_size": 3, "padding": 1, "groups": 8},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
}


@pytest.fixture
def x():
    return 3 * torch.randn(2, 8, 13, 17, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_conv_gelu_is_gelu_of_the_convolution(x, layer, layout, dtype):
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 16, **layer)
    expected = F.gelu(convolution(x))
    with torch.inference_mode():
        found = conv_gelu(convolution.to(dtype), x.to(dtype).contiguous(memory_format=layout))
    assert found.dtype is dtype
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 0.02, "atol": 0.02}
    torch.testing.assert_close(found.float(), expected, **close)


@pytest.mark.skipif(not _HAS_FUSED_GELU, reason="this PyTorch does not convolve by oneDNN on x86")
def test_prediction_takes_one_pass_and_training_learns(x):
    convolution = nn.Conv2d(8, 16, 3)
    with profile(activities=[ProfilerActivity.CPU]) as predicting, torch.no_grad():
        conv_gelu(convolution, x)
    assert "aten::gelu" not in {event.key for event in predicting.key_averages()}
    conv_gelu(convolution, x).sum().backward()
    assert convolution.weight.grad is not None


@pytest.mark.skipif(not bf16_is_faster(CPU), reason="this CPU does not compute in bf16")
def test_weights_that_autocast_would_cast_are_cast(x):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert conv_gelu(nn.Conv2d(8, 16, 3), x).dtype is torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [1, 49])
def test_attention_is_that_of_pytorch(length, dtype):
    torch.manual_seed(0)
    given = [*torch.randn(3, 6, 4, length, 32), torch.randn(1, 4, length, length)]
    query, key, value, bias = (each.to(dtype) for each in given)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 0.05, "atol": 0.03}
    with torch.inference_mode():
        torch.testing.assert_close(biased_attention(query, key, value, bias), expected, **close)
    torch.testing.assert_close(biased_attention(query, key, value, bias), expected)


@pytest.mark.parametrize("change", [{"padding_mode": "reflect"}, {"dtype": torch.float64}])
def test_other_convolutions_stay_what_they_are(x, change):
    convolution, x = nn.Conv2d(8, 16, 3, padding=1, **change), x.to(change.get("dtype", x.dtype))
    with torch.inference_mode():
        torch.testing.assert_close(conv_gelu(convolution, x), F.gelu(convolution(x)))
