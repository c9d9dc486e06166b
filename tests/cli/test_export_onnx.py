import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dextr_vos.cli.main import main
from dextr_vos.networks.checkpoints import load_into, read_state_dict
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.prompt_decoder import Prompts
from dextr_vos.networks.shipped import shipped_weights

SIZE_HW = (64, 80)
MAPS = ("half", "quarter", "eighth", "embedding")


def call(*given: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["export-onnx", *map(str, given)], prog_name="dextr-vos")
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["clicks", "--size", "448"], "--size 448: expected width x height in pixels, like 448x448"),
        (["tracker", "--size", "450x336"], "expected a height and a width that are multiples of 16"),
        (["clicks", "--weights", "absent.pth"], "there is no checkpoint absent.pth"),
        (["both"], "invalid value for '{clicks|tracker}'"),
    ],
)
def test_bad_input_is_one_sentence(given: list[str], sentence: str, tmp_path: Path) -> None:
    status, output, errors = call(*given, "-o", tmp_path / "onnx")
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert sentence in errors
    assert not (tmp_path / "onnx").exists()


@pytest.mark.slow
def test_clicks_are_the_same_for_any_number_of_points(tmp_path: Path) -> None:
    """The only test that exports the network for clicks, which takes a minute."""
    onnxruntime = pytest.importorskip("onnxruntime", reason='needs pip install "dextr-vos[onnx]"')
    pytest.importorskip("onnxscript", reason='needs pip install "dextr-vos[onnx]"')
    killed = tmp_path / ".dextr-vos-abcd1234"
    killed.mkdir()
    os.utime(killed, (time.time() - 3600,) * 2)
    status, output, errors = call("clicks", "-o", tmp_path, "--size", f"{SIZE_HW[1]}x{SIZE_HW[0]}")
    assert (status, errors) == (0, "")
    paths = [tmp_path / f"clicks-{part}.onnx" for part in ("encoder", "decoder")]
    for line, path in zip(output.splitlines(), paths, strict=True):
        assert line.startswith(f"{path}, differs from PyTorch by ")
    assert sorted(tmp_path.iterdir()) == sorted(paths)

    encoder, decoder = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in paths
    )
    network = LiteClicks().eval()
    load_into(network, read_state_dict(shipped_weights("lite-clicks")), "lite-clicks")
    image = 255 * torch.rand(1, 3, *SIZE_HW)
    maps = dict(zip(MAPS, encoder.run(None, {"image": image.numpy()}), strict=True))
    for count, has_mask in ((1, False), (6, True), (20, True)):
        prompts = Prompts(
            torch.rand(1, count, 2),
            torch.randint(-1, 5, (1, count)),
            torch.rand(1, 1, SIZE_HW[0] // 4, SIZE_HW[1] // 4),
            torch.tensor([has_mask]),
        )
        with torch.inference_mode():
            expected = network.decode(network.encode(image), prompts)
        found = decoder.run(None, maps | {name: tensor.numpy() for name, tensor in vars(prompts).items()})
        for array, tensor in zip(found, expected, strict=True):
            assert np.abs(array - tensor.numpy()).max() <= 1e-4
