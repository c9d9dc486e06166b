from pathlib import Path

import torch
from click.testing import CliRunner

from dextr_vos.cli.main import main
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.networks.osvos import Osvos


def test_a_published_pth_becomes_safetensors(tmp_path: Path) -> None:
    state = Osvos().state_dict()
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, tmp_path / "parent.pth")
    target = tmp_path / "new" / "parent.safetensors"
    done = CliRunner().invoke(main, ["convert", str(tmp_path / "parent.pth"), str(target)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert (
        done.stdout == f"OSVOS in {target}; use: dextr-vos propagate CLIP --model paper --parent {target}\n"
    )
    assert read_metadata(target) == {"converted_from": "parent.pth", "network": "OSVOS"}
    found = read_state_dict(target)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in state.items())


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["convert", str(tmp_path / "a.h5"), str(tmp_path / "a.safetensors")])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"dextr-vos: there is no checkpoint {tmp_path / 'a.h5'}\n"
