"""Weights that others published, in any of their formats, as safetensors that every command reads."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dextr_vos.errors import WeightsError
from dextr_vos.networks.caffe_file import read_caffemodel
from dextr_vos.networks.checkpoint_file import first_bytes, is_safetensors
from dextr_vos.networks.checkpoints import check_fits, dextr_head, read_state_dict, save
from dextr_vos.networks.dextr import Dextr
from dextr_vos.networks.imagenet import load_caffe_vgg
from dextr_vos.networks.keras_file import read_keras
from dextr_vos.networks.osvos import Osvos

log = logging.getLogger(__name__)

# names of networks, as messages and metadata have them
DEXTR, OSVOS = "DEXTR", "OSVOS"


def convert(source: Path, target: Path) -> str:
    """Write the weights of a published network as safetensors, whole or not at all.

    Args:
        source: DEXTR as Keras `.h5` or PyTorch `.pth`; OSVOS as `.pth` or Caffe's `.caffemodel`; VGG-16 to
            start OSVOS from as `.caffemodel` or `vgg_caffe.mat`.
        target: file to write, `.safetensors`.

    Returns:
        The network: "DEXTR" or "OSVOS".

    Raises:
        InputError: the library that reads the format is not installed.
        WeightsError: the source is missing, broken, of another network, or safetensors already; the target
            is there, or has another suffix.
    """
    if target.suffix != ".safetensors":
        raise WeightsError(f"expected a file that ends in .safetensors to write, got {target}")
    if not source.is_file():
        raise WeightsError(f"there is no checkpoint {source}")
    if target.exists():
        raise WeightsError(f"{target} is there already; remove it, or give another name")
    state = _read(source)
    head = dextr_head(state)
    with torch.device("meta"):
        network: nn.Module = Osvos() if head is None else Dextr(head)
    check_fits(network, state, source)
    name = OSVOS if head is None else DEXTR
    save(target, state, {"converted_from": source.name, "network": name})
    return name


def _read(source: Path) -> Mapping[str, Tensor]:
    if source.suffix.lower() in (".h5", ".hdf5"):
        return read_keras(source)
    if source.suffix.lower() == ".caffemodel":
        return osvos_state(read_caffemodel(source), source)
    if source.suffix.lower() == ".mat":
        network = _untrained_osvos()
        load_caffe_vgg(network, source)
        return network.state_dict()
    if is_safetensors(source, first_bytes(source)):  # its settings, such as the crop, would be lost
        raise WeightsError(f"{source} is a safetensors file, which every command reads as it is")
    return read_state_dict(source)


def osvos_state(found: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """A whole state of OSVOS from what a file of Caffe has.

    Args:
        found: the stages, and perhaps what follows them. Only the parent network's training has `score_dsn`;
            VGG-16 has neither that nor the other side outputs, which then start near zero, as in training.
        source: of the state, for the message.

    Raises:
        WeightsError: a part of the stages or of the side outputs is missing.
    """
    whole = dict(_untrained_osvos().state_dict())
    kinds = {key.split(".")[0] for key in found}
    optional = {"upscale", "upscale_", "score_dsn"}
    if kinds == {"stages"}:
        optional |= {"side_prep", "fuse"}
    missing = [key for key in whole if key not in found and key.split(".")[0] not in optional]
    if missing:
        raise WeightsError(f"{source} has no {missing[0]}; expected all layers of OSVOS, or of VGG-16 alone")
    absent = sorted({"side_prep", "score_dsn", "fuse"} - kinds)
    if absent:
        log.info("%s has no %s, which start near zero", source, ", ".join(absent))
    return whole | dict(found)


def _untrained_osvos() -> Osvos:
    """The same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Osvos()
