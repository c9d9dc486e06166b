"""Backbones of ImageNet as a start: the same function before and after, or nothing changed."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import assert_golden
from scipy.io import savemat
from torch import nn
from torchvision.models import ResNet101_Weights, VGG16_Weights, vgg16

from dextr_vos.errors import WeightsError
from dextr_vos.networks.dextr import Dextr
from dextr_vos.networks.imagenet import (
    imagenet_state,
    load_backbone,
    load_caffe_vgg,
    load_torchvision_resnet,
    load_torchvision_vgg,
)
from dextr_vos.networks.osvos import Osvos, osvos_input

BLOCKS = (1, 1, 2, 1)
CONVOLUTIONS = 13


@pytest.mark.parametrize(
    ("backbone", "weights"), [("resnet101", ResNet101_Weights), ("vgg16", VGG16_Weights)]
)
def test_weights_come_from_the_cache_of_torchvision(backbone, weights, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / weights.IMAGENET1K_V1.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save({"conv1.weight": torch.ones(2)}, path)
    assert torch.equal(imagenet_state(backbone)["conv1.weight"], torch.ones(2))


def test_weights_that_cannot_be_downloaded_say_what_to_fetch(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", lambda *_: (_ for _ in ()).throw(OSError("no route to host")))
    with pytest.raises(WeightsError, match=r"no route to host.*fetch https://\S+\.pth .*start=FILE"):
        imagenet_state("vgg16")


@functools.cache
def torchvision_resnet() -> torch.nn.Module:
    """torchvision's ResNet with one block a layer, and running statistics that have moved."""
    from torchvision.models.resnet import Bottleneck, ResNet

    torch.manual_seed(0)
    resnet = ResNet(Bottleneck, list(BLOCKS))
    resnet.train()
    with torch.no_grad():
        for _ in range(3):
            resnet(torch.randn(4, 3, 64, 64))
    return resnet.eval()


def test_torchvision_start_computes_the_same_function_and_leaves_the_head() -> None:
    resnet, network = torchvision_resnet(), Dextr(blocks=BLOCKS).eval()
    head = {key: tensor.clone() for key, tensor in network.layer5.state_dict().items()}
    load_torchvision_resnet(network, resnet.state_dict())
    image = torch.randint(0, 256, (1, 3, 96, 96)).float()
    heat = torch.rand(1, 1, 96, 96) * 255  # says nothing yet
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.inference_mode():
        x = resnet.bn1(resnet.conv1((image / 255 - mean) / std)).relu()
        expected = resnet.layer1(resnet.maxpool(x))
        y = network.bn1(network.conv1(torch.cat([image, heat], 1))).relu()
        found = network.layer1(torch.nn.functional.max_pool2d(y, 3, stride=2, padding=1))
    inner = (..., slice(4, -4), slice(4, -4))  # zero padding means black here, grey there
    assert torch.allclose(found[inner], expected[inner], rtol=1e-3, atol=1e-4)
    assert all(torch.equal(tensor, head[key]) for key, tensor in network.layer5.state_dict().items())
    for key, tensor in resnet.state_dict().items():
        if not key.startswith(("fc.", "conv1.", "bn1.running_mean")):
            assert torch.equal(network.state_dict()[key], tensor), key


@pytest.mark.parametrize("prefix", ["", "Scale.", "module.backbone."])
def test_a_backbone_of_three_channels_starts_all_but_the_head(prefix: str) -> None:
    state = {
        prefix + key: tensor
        for key, tensor in torchvision_resnet().state_dict().items()
        if not key.startswith("fc.") and not key.endswith("num_batches_tracked")
    }
    state[prefix + "layer5.conv2d_list.0.weight"] = torch.zeros(21, 2048, 3, 3)  # Deeplab's head
    network = Dextr(blocks=BLOCKS)
    load_backbone(network, state)
    assert torch.equal(network.conv1.weight[:, :3], state[prefix + "conv1.weight"])
    assert not network.conv1.weight[:, 3].any()
    assert torch.equal(network.layer4[0].conv3.weight, state[prefix + "layer4.0.conv3.weight"])


@pytest.mark.parametrize("load", [load_backbone, load_torchvision_resnet])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("none", "expected conv1.weight .*, got nothing"),
        ("layer3.1.bn2.weight", r"layer3.1.bn2.weight \(256,\), got nothing"),
        ("conv1.weight", r"conv1.weight \(64, 4, 7, 7\), got \(64, 5, 7, 7\)"),
    ],
)
def test_a_start_that_does_not_fit_changes_nothing(load: Callable[..., None], wrong: str, words: str) -> None:
    state = {} if wrong == "none" else dict(torchvision_resnet().state_dict())
    if wrong == "conv1.weight":
        state[wrong] = torch.zeros(64, 5, 7, 7)
    state.pop(wrong if wrong.startswith("layer3") else "", None)
    network = Dextr(blocks=BLOCKS)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=words):
        load(network, state)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


@functools.cache
def vgg_features() -> nn.Module:
    torch.manual_seed(0)
    with torch.device("meta"):
        features = vgg16(weights=None, init_weights=False).features
    features.to_empty(device="cpu")
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, std=0.1)
    return features


def test_torchvision_start_computes_the_same_function() -> None:
    features, network = vgg_features(), Osvos()
    load_torchvision_vgg(network, {f"features.{k}": v for k, v in features.state_dict().items()})
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    normalized = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std
    inner = (..., slice(1, -1), slice(1, -1))
    with torch.inference_mode():
        found, expected = network.stages[0][0](osvos_input(images)), features[0](normalized)
        torch.testing.assert_close(found[inner], expected[inner], atol=1e-4, rtol=1e-4)
        found, expected = osvos_input(images), features[:30](normalized)
        for stage in network.stages:
            found = stage(found)
    # what the border's small difference comes to after thirteen layers
    assert_golden("torchvision's last features", found, expected, 0.02)


@pytest.mark.parametrize("wrong", ["missing", "no bias", "reshaped", "empty"])
def test_torchvision_state_that_does_not_fit_changes_nothing(wrong: str) -> None:
    state = {f"features.{k}": v for k, v in vgg_features().state_dict().items()}
    if wrong == "missing":
        del state["features.28.weight"]
    elif wrong == "no bias":
        del state["features.0.bias"]
    elif wrong == "reshaped":
        state["features.28.weight"] = torch.zeros(512, 512, 1, 1)
    else:
        state = {}
    network = Osvos()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=r"torchvision VGG-16"):
        load_torchvision_vgg(network, state)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def cells(arrays: list[np.ndarray]) -> np.ndarray:
    filled = np.empty((1, len(arrays)), dtype=object)
    for index, array in enumerate(arrays):
        filled[0, index] = array
    return filled


def test_caffe_start_transposes_every_kernel(tmp_path: Path) -> None:
    convs = [module for module in vgg_features() if isinstance(module, nn.Conv2d)]
    kernels = [conv.weight.detach().numpy() for conv in convs]
    biases = [conv.bias.detach().numpy() for conv in convs]
    path = tmp_path / "vgg_caffe.mat"
    savemat(path, {"weights": cells([k.T for k in kernels]), "biases": cells([b[:, None] for b in biases])})
    network = Osvos()
    load_caffe_vgg(network, path)
    loaded = [module for module in network.stages.modules() if isinstance(module, nn.Conv2d)]
    assert len(loaded) == CONVOLUTIONS
    for conv, kernel, bias in zip(loaded, kernels, biases, strict=True):
        np.testing.assert_array_equal(conv.weight.detach(), kernel)
        np.testing.assert_array_equal(conv.bias.detach(), bias)


def test_broken_caffe_files_are_told_apart(tmp_path: Path) -> None:
    network = Osvos()
    with pytest.raises(WeightsError, match="there are no weights"):
        load_caffe_vgg(network, tmp_path / "absent.mat")
    path = tmp_path / "vgg_caffe.mat"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError, match="as a MATLAB file"):
        load_caffe_vgg(network, path)
    savemat(path, {"weights": np.zeros(3)})
    with pytest.raises(WeightsError, match="no array 'biases'"):
        load_caffe_vgg(network, path)
    savemat(path, {"weights": cells([np.zeros((3, 3))] * 13), "biases": cells([np.zeros(64)] * 13)})
    with pytest.raises(WeightsError, match=r"convolution 1 .* expected \(64, 3, 3, 3\)"):
        load_caffe_vgg(network, path)
