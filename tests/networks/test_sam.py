"""Checkpoints of Segment Anything and SAM 2 tell which network they are of."""

import sys

import pytest
import torch

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks.sam import _sam2_configuration, load_sam, load_sam2


@pytest.mark.filterwarnings("ignore:Implicit conversion:FutureWarning")
@pytest.mark.parametrize("version", ["2", "2.1"])
@pytest.mark.parametrize("size", ["t", "s", "b+", "l"])
def test_the_table_of_sizes_agrees_with_the_configurations_of_sam2(version, size):
    """A network of each would take gigabytes; what the table goes by stands in the configuration."""
    pytest.importorskip("sam2", reason='pip install "dextr-vos[sam2]"')
    from hydra import compose

    name = f"configs/sam{version}/sam{version}_hiera_{size}.yaml"
    model = compose(config_name=name).model
    trunk = model.image_encoder.trunk
    blocks = sum(trunk.get("stages", (2, 3, 16, 3)))  # by default those of b+
    state = {
        "image_encoder.trunk.patch_embed.proj.weight": torch.zeros(trunk.embed_dim, 3, 7, 7),
        **{f"image_encoder.trunk.blocks.{block}.norm1.weight": torch.zeros(1) for block in range(blocks)},
        **({"no_obj_embed_spatial": torch.zeros(1)} if model.get("no_obj_embed_spatial") else {}),
    }
    assert _sam2_configuration(state) == name


@pytest.mark.parametrize(
    ("load", "module", "sentence"),
    [
        (load_sam, "segment_anything", r'pip install "dextr-vos\[sam\]"'),
        (load_sam2, "sam2.build_sam", r'pip install "dextr-vos\[sam2\]"'),
    ],
)
def test_without_the_package_the_sentence_says_what_to_install(load, module, sentence, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=sentence):
        load(tmp_path / "any.pt")


@pytest.mark.parametrize(("load", "module"), [(load_sam, "segment_anything"), (load_sam2, "sam2.build_sam")])
def test_another_network_is_refused(load, module, tmp_path):
    pytest.importorskip(module)
    path = tmp_path / "other.pt"
    torch.save({"model": {"conv.weight": torch.zeros(2)}}, path)
    with pytest.raises(WeightsError, match="is no checkpoint of S"):
        load(path)
