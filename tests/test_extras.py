"""Where the packages of an extra are missing, one sentence says what to install, and nothing is written."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_benchmark import write_davis
from tiny_project import write_project

from dextr_vos.cli.main import main
from dextr_vos.errors import InputError
from dextr_vos.integrations.cvat import detection, interaction, tracking

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]

COMMANDS = [
    ("dask", "distributed", "propagate --project clips -o work --scheduler tcp://127.0.0.1:1"),
    (
        "dask",
        "distributed",
        "benchmark --config grid.yaml --davis-root davis --scheduler tcp://127.0.0.1:1 -o out",
    ),
    ("keras", "h5py", "convert net.h5 out.safetensors"),
    ("caffe", "google.protobuf", "convert net.caffemodel out.safetensors"),
    ("onnx", "onnx", "export-onnx clicks -o out"),
    ("onnx", "onnxscript", "export-onnx tracker -o out"),
    ("onnx", "onnxruntime", "export-onnx clicks -o out"),
    (
        "sam",
        "segment_anything",
        "annotate clips/tiny --clicks clicks.json --model sam --weights net.pt -o out",
    ),
    (
        "sam2",
        "sam2.build_sam",
        "annotate clips/tiny --clicks clicks.json --model sam2 --weights net.pt -o out",
    ),
    (
        "sam2",
        "sam2.build_sam",
        "propagate clips/tiny --keyframes work/tiny/keyframes --model sam2 --parent net.pt -o out",
    ),
    ("sam2", "sam2.build_sam", "speed --model sam2 --json out"),
]


@pytest.mark.parametrize(("extra", "module", "line"), COMMANDS)
def test_a_command_says_which_extra_it_needs(extra, module, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path, "tiny")
    write_davis(tmp_path / "davis", {"bear": 4})
    Path("grid.yaml").write_text("clips: [bear]\nsupervision: [gt]\nkeyframes: [1]\n")
    Path("clicks.json").write_text(json.dumps({"00000": [[[8, 20], [25, 20], [15, 14], [15, 33]]]}))
    for name in ("net.h5", "net.caffemodel", "net.pt"):
        Path(name).write_bytes(b"weights")
    before = files(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    done = CliRunner().invoke(main, line.split())
    assert done.exit_code == 2, done.output
    sentence = " ".join(done.stderr.split())
    assert f'pip install "dextr-vos[{extra}]"' in sentence
    assert extra in EXTRAS
    assert "Traceback" not in sentence
    assert files(tmp_path) == before


@pytest.mark.parametrize("function", [detection, interaction, tracking])
def test_a_function_for_cvat_says_which_extra_it_needs(function, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "cvat_sdk"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cvat_sdk", None)
    given = {"run": str(tmp_path)} if function is detection else {}
    with pytest.raises(InputError, match=r'pip install "dextr-vos\[cvat\]"'):
        function.create(**given)


def files(folder: Path) -> dict[str, bytes]:
    """What is in a folder, without locks, which stay."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


def test_every_extra_that_the_code_or_the_documents_name_is_there():
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "dextr_vos").rglob("*.py")]
    named = {
        extra.strip()
        for path in texts
        for extras in re.findall(r"dextr-vos\[([a-z0-9, -]+)\]", path.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }
    assert {"caffe", "cvat", "dask", "keras", "onnx", "sam", "sam2"} <= named
    assert named <= EXTRAS.keys()
