"""A workspace stands for its clip, its keyframes and its run in every command."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_commands import with_small_lite
from tiny_run import bytes_of, write_keyframes

from dextr_vos.cli.main import main
from dextr_vos.clip import open_clip
from dextr_vos.masks import write_labels
from dextr_vos.workspace import Workspace

FRAMES = [f"{index:05d}" for index in range(6)]
QUICK = (
    *("--device", "cpu", "--max-steps", "2", "--parent", "none"),
    "batch=1",
)

pytestmark = pytest.mark.usefixtures("one_thread")


def call(*given, status=0):
    result = CliRunner().invoke(main, [str(one) for one in given])
    assert result.exit_code == status, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def propagated(tmp_path_factory):
    """A clip, and a workspace on it whose keyframes are propagated."""
    root = tmp_path_factory.mktemp("propagated")
    (root / "frames" / "dog").mkdir(parents=True)
    for index in range(6):
        Image.fromarray(tiny_frame(index)).save(root / "frames" / "dog" / f"{index:05d}.png")
        write_labels(root / "davis/Annotations/480p/dog" / f"{index:05d}.png", tiny_mask(index))
    workspace = Workspace(root / "work" / "dog")
    write_keyframes(workspace.keyframes, 0, 3)
    workspace.write_settings(open_clip(root / "frames" / "dog"))
    with with_small_lite():
        done = call("propagate", workspace.path, *QUICK)
        assert f"6 masks in {workspace.run.masks}, 2 of them copied keyframes" in done.stdout
        yield root


@pytest.fixture
def place(propagated, tmp_path, monkeypatch):
    """A copy of it as the current folder; its clip stays where it was."""
    for name in ("work", "davis"):
        shutil.copytree(propagated / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_run_lies_in_the_workspace_whose_keyframes_are_given(propagated, place, caplog):
    caplog.set_level("INFO")
    call("propagate", propagated / "frames" / "dog", "--keyframes", "work/dog", *QUICK)
    assert caplog.messages == ["all masks are there already"]


def test_suggest_leaves_out_what_was_annotated_since_the_run(place):
    assert call("suggest", "work/dog").stdout.strip() in set(FRAMES) - {"00000", "00003"}
    write_keyframes(place / "work/dog/keyframes", 1, 2, 4)
    assert call("suggest", "work/dog").stdout == "00005\n"
    assert call("suggest", "work/dog/propagation").stdout != ""


def test_lock_takes_names_and_indices(place):
    locked = call("lock", "work/dog", "1,last").stdout.splitlines()
    assert locked == [f"work/dog/keyframes/{name}.png" for name in ("00001", "00005")]
    for name in ("00001", "00005"):
        made = (place / "work/dog/propagation/masks" / f"{name}.png").read_bytes()
        assert (place / "work/dog/keyframes" / f"{name}.png").read_bytes() == made
    assert "'9' is no frame of work/dog/propagation" in call("lock", "work/dog", "9", status=2).stderr
    assert "give --keyframes" in call("lock", "work/dog/propagation", "2", status=2).stderr


def test_export_writes_everything_into_the_workspace_or_what_is_named(place):
    shown = call("export", "work/dog").stdout
    files = ["coco.json", "overlay.mp4", "page.html", "sheet.jpg"]
    assert list(bytes_of(place / "work/dog/exports")) == files
    assert all(f"work/dog/exports/{name}" in shown for name in files)
    assert call("export", "work/dog", "--sheet", "s.jpg").stdout == "contact sheet: s.jpg\n"
    assert call("export", "work/dog", "-o", "all", "--coco", "c.json").exit_code == 0
    call("export", "work/dog", "--coco", "some.json", "--frames", "1,5")
    images = json.loads(Path("some.json").read_text())["images"]
    assert [each["file_name"] for each in images] == ["00001.png", "00005.png"]
    assert (
        "consecutive" in call("export", "work/dog", "--sheet", "some.jpg", "--frames", "1,5", status=2).stderr
    )
    assert list(bytes_of(place / "all")) == ["overlay.mp4", "page.html", "sheet.jpg"]


def test_propagate_and_export_say_which_drafts_they_leave_out(place):
    sentence = "2 corrected frames are drafts and were not used; K on the page makes them keyframes"
    assert "drafts" not in call("export", "work/dog", "--sheet", "s.jpg").stderr
    write_keyframes(place / "work/dog/corrections", 1, 2)
    assert sentence in call("propagate", "work/dog", *QUICK).stderr
    assert sentence in call("export", "work/dog", "--sheet", "s.jpg").stderr
    assert sentence in call("export", "work/dog", "--format", "davis", "-o", "davis-out").stderr
    write_keyframes(place / "work/dog/keyframes", 1)
    assert "1 corrected frame is a draft" in call("export", "work/dog", "--sheet", "s.jpg").stderr


def test_segment_takes_the_network_of_a_workspace(place):
    assert call("segment", "work/dog", "--run", "work/dog", "-o", "again").stdout == "6 masks in again\n"


def test_evaluate_scores_a_folder_of_workspaces(place, monkeypatch):
    monkeypatch.setenv("DAVIS_ROOT", "davis")
    shown = call("evaluate", "--results", "work", "--clips", "dog").stdout
    assert "without a keyframe" in shown
    assert (place / "work" / "global_results-val.csv").is_file()


def test_annotate_continues_a_workspace_and_makes_one_where_none_is_named(propagated, place):
    simulated = ("--simulate", "davis/Annotations/480p/dog", "--model", "grabcut")
    call("annotate", "work/dog", *simulated, "--frames", "1")
    assert (place / "work/dog/annotations.json").is_file()
    shutil.rmtree(place / "work")
    shown = call("annotate", propagated / "frames" / "dog", *simulated).stdout
    assert "in work/dog/keyframes" in shown
    assert Workspace(place / "work" / "dog").open_clip().path == propagated / "frames" / "dog"


@pytest.mark.parametrize(
    "given", [("propagate",), ("export",), ("suggest",), ("lock", "1"), ("export", "--sheet", "s.jpg")]
)
def test_a_clip_in_place_of_its_workspace_is_answered_with_the_workspace(propagated, place, given):
    command, *rest = given
    clip = propagated / "frames" / "dog"
    assert "; did you mean the workspace work/dog?\n" in call(command, clip, *rest, status=2).stderr
    other = shutil.copytree(clip, place / "dog")  # which has no workspace
    assert "did you mean" not in call(command, other, *rest, status=2).stderr


def test_what_a_workspace_lacks_is_said(place):
    shutil.rmtree(place / "work/dog/propagation")
    for given in (
        ("suggest", "work/dog"),
        ("lock", "work/dog", "1"),
        ("export", "work/dog"),
        ("segment", "work/dog", "--run", "work/dog", "-o", "x"),
    ):
        errors = call(*given, status=2).stderr
        assert errors == (
            "dextr-vos: the workspace work/dog has no run yet; make one with dextr-vos propagate work/dog\n"
        )
    bare = call("propagate", "work/dog/keyframes", status=2).stderr
    assert "expected frames" in bare
    (place / "masks").mkdir()
    assert "give --out RUN" in call("propagate", "work/dog", "--keyframes", "masks", status=2).stderr
