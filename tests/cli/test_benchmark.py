import pytest
from click.testing import CliRunner
from tiny_benchmark import write_davis

from dextr_vos.cli.main import main

CLICKS = """\
kind: clicks
datasets:
  - {name: DAVIS, kind: davis, every: 1}
models:
  - {name: GrabCut, model: grabcut}
  - {name: broken, model: lite, weights: no.safetensors}
"""


def benchmark(*given):
    return CliRunner().invoke(main, ["benchmark", *map(str, given)])


@pytest.mark.parametrize("name", ["a: b", "[a]", "{a}", "1", "yes", "a #b"])
def test_the_folder_of_davis_may_have_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.yaml").write_text("clips: [dog]\nsupervision: [gt]\n")
    done = benchmark("--config", "b.yaml", "--davis-root", name, "-o", "out")
    assert done.exit_code == 2, done.output
    assert f"/{name}; give" in done.stderr


def test_a_grid_of_clicks_with_a_failed_cell_has_a_report_of_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_davis(tmp_path / "davis", {"bear": 2})
    (tmp_path / "clicks.yaml").write_text(CLICKS)
    (tmp_path / "no.safetensors").write_bytes(b"no weights")
    done = benchmark("--config", "clicks.yaml", "--davis-root", "davis", "-o", "out", "extra_clicks=false")
    assert done.exit_code == 1, done.output
    assert "failed: DAVIS, broken" in done.stderr
    assert "1 of 2 cells finished" in (tmp_path / "out" / "report.html").read_text()
    assert CliRunner().invoke(main, ["report", "out"]).exit_code == 0
