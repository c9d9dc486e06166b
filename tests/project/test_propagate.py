"""A project as jobs: what is to be done with each clip, and that no clip stops another."""

import errno
import shutil

import pytest
from conftest import tiny_mask
from tiny_benchmark import Inline
from tiny_commands import with_small_lite
from tiny_project import QUICK, masks_of, write_project
from tiny_run import bytes_of, stop_after

from dextr_vos.clip import open_clip
from dextr_vos.errors import ConfigError, InputError, Interrupted
from dextr_vos.folder_lock import FolderLock
from dextr_vos.interrupt import never
from dextr_vos.masks import write_labels
from dextr_vos.pipeline import PropagationOptions, train_propagation
from dextr_vos.project.propagate import plan_project, run_project
from dextr_vos.workspace import Workspace

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = PropagationOptions(parent="none", device="cpu", max_steps=2, settings=QUICK)


@pytest.fixture(scope="module", autouse=True)
def _small():
    with with_small_lite():
        yield


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path, "cat", "dog")


def plan(project, options=OPTIONS):
    return plan_project(*project, options)


def states(project, options=OPTIONS):
    return {each.name: each.state for each in plan(project, options)}


def run(project, stop_asked=never):
    notes = {}
    failed = run_project(
        plan(project),
        Inline("cpu", stop_asked),
        on_note=lambda job, note: notes.update({str(job): note}),
    )
    return failed, notes


def test_what_is_to_be_done_with_each_clip(project):
    clips, work = project
    shutil.copytree(clips / "cat", clips / "new")
    write_project(clips.parent, "broken", "open")
    write_labels(work / "broken" / "keyframes" / "00000.png", tiny_mask(0)[:20])
    shutil.copy(work / "cat" / "keyframes" / "00000.png", work / "cat" / "draft.png")
    Workspace(work / "cat").corrections.mkdir()
    (work / "cat" / "draft.png").rename(Workspace(work / "cat").correction("00002"))
    with FolderLock(work / "open"):
        planned = {each.name: each for each in plan(project)}
    assert {name: each.state for name, each in planned.items()} == {
        "broken": "failed",
        "cat": "to do",
        "dog": "to do",
        "new": "no keyframes",
        "open": "in use",
    }
    assert "00000.png" in planned["broken"].message
    assert "is in use by process" in planned["open"].message
    assert "1 corrected frame is a draft" in planned["cat"].message
    assert not (work / "new").exists()
    assert not (work / "cat" / "propagation").exists()


def test_every_clip_has_the_masks_of_the_command_for_one_clip(project, tmp_path):
    clips, work = project
    failed, notes = run(project)
    assert failed == {}
    assert notes.keys() == {"cat", "dog"}
    assert notes["cat"].startswith("3 masks in ")
    for name in ("cat", "dog"):
        train_propagation(open_clip(clips / name), work / name, tmp_path / "one" / name, OPTIONS)
        assert masks_of(work / name) == bytes_of(tmp_path / "one" / name / "masks")


def test_what_is_finished_is_done_again_only_where_it_has_changed(project):
    _, work = project
    run(project)
    assert states(project) == {"cat": "finished", "dog": "finished"}
    assert states((work, None)) == {"cat": "finished", "dog": "finished"}, "the folder of the workspaces"
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.png")}
    assert run(project) == ({}, {})
    assert before == {path: path.stat().st_mtime_ns for path in work.rglob("*.png")}
    write_labels(work / "dog" / "keyframes" / "00001.png", tiny_mask(2))
    assert states(project) == {"cat": "finished", "dog": "to do"}
    other = PropagationOptions(parent="none", device="cpu", max_steps=2, seed=1, settings=QUICK)
    assert states(project, other) == {"cat": "to do", "dog": "to do"}


def test_a_clip_that_fails_stops_no_other(project):
    clips, work = project
    planned = plan(project)
    (clips / "cat" / "00002.png").write_bytes(b"no image")
    failed = run_project(planned, Inline("cpu", never))
    assert failed.keys() == {"cat"}
    assert "00002.png" in failed["cat"]
    assert len(masks_of(work / "dog")) == 3


def test_a_full_disk_is_one_sentence_about_a_clip_and_no_traceback(project, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "work/cat/run.json")

    monkeypatch.setattr("dextr_vos.project.propagate.train_propagation", full)
    failed = run(project)[0]
    assert failed["cat"] == "cannot read or write work/cat/run.json: No space left on device"
    assert not [record for record in caplog.records if record.exc_info]


def test_a_stop_keeps_what_is_done_and_the_next_run_resumes(project):
    asked = stop_after(1)
    with pytest.raises(Interrupted, match="0 of 2 clips finished"):
        run_project(plan(project), Inline("cpu", lambda: True), stop_asked=asked)
    with pytest.raises(Interrupted, match="1 of 2 clips finished"):
        run_project(plan(project), Inline("cpu", never), stop_asked=stop_after(1))
    assert states(project) == {"cat": "finished", "dog": "to do"}
    assert run(project)[1].keys() == {"dog"}


def test_a_worker_of_other_code_is_refused(project, monkeypatch):
    planned = plan(project)
    monkeypatch.setattr("dextr_vos.workers.code.code_digest", lambda: "other")
    with pytest.raises(InputError, match="runs other code of dextr-vos"):
        run_project(planned, Inline("cpu", never))
    assert not (project[1] / "cat" / "propagation").exists()


def test_what_no_clip_could_use_is_refused_at_once(project, tmp_path):
    clips, work = project
    with pytest.raises(ConfigError, match="speed=9: unknown setting"):
        plan(project, PropagationOptions(settings=("speed=9",)))
    with pytest.raises(InputError, match="there is no checkpoint"):
        plan(project, PropagationOptions(parent="none.pth"))
    with pytest.raises(InputError, match="there is no folder"):
        plan_project(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is the workspace of one clip"):
        plan_project(work / "cat")
    with pytest.raises(InputError, match="has no clips in it"):
        plan_project(clips / "cat")
    with pytest.raises(InputError, match="no clip of"):
        plan_project(clips, tmp_path / "elsewhere")
