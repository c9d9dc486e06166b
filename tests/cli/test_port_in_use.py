"""A page that cannot be opened leaves no workspace behind."""

import pytest
from click.testing import CliRunner
from tiny_project import write_project

from dextr_vos.cli.main import main
from dextr_vos.web.serve import listen

SETTINGS = """required: {source: clips/dog, destination: masks}
optional: {update: true, mask_suffix: _mask, save_format: png}
admin: {progress_file: .anno_prog, reset_progress: false}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    write_project(tmp_path, "dog", frames=2)
    (tmp_path / "anno_cfg.yml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "what",
    [("clips/dog", "-o", "new"), ("clips", "-o", "new"), ("--config", "anno_cfg.yml")],
    ids=["clip", "project", "images"],
)
@pytest.mark.parametrize("cause", ["port", "token"])
def test_nothing_is_left_where_the_page_cannot_be_opened(place, what, cause, monkeypatch):
    before = sorted(place.rglob("*"))
    sentence = "expected" if cause == "token" else "cannot listen on 127.0.0.1 port"
    if cause == "token":
        monkeypatch.setenv("DEXTR_VOS_TOKEN", "weak")
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1] if cause == "port" else 0)
        given = ["annotate", *what, "--no-open", "--model", "grabcut", "--port", port]
        refused = CliRunner().invoke(main, given)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert sentence in refused.stderr
    assert sorted(place.rglob("*")) == before
