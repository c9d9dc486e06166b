from pathlib import Path

import pytest
from click.testing import CliRunner

from dextr_vos.cli.main import main


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
def test_files_are_written_with_their_difference(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason='needs pip install "dextr-vos[onnx]"')
    pytest.importorskip("onnxscript", reason='needs pip install "dextr-vos[onnx]"')
    status, output, errors = call("clicks", "-o", tmp_path, "--size", "64x80")
    assert (status, errors) == (0, "")
    paths = [tmp_path / f"clicks-{part}.onnx" for part in ("encoder", "decoder")]
    for line, path in zip(output.splitlines(), paths, strict=True):
        assert line.startswith(f"{path}, differs from PyTorch by ")
        assert path.is_file()
