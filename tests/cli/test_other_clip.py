"""What was made of one clip is neither exported with another one, nor overwritten by its masks."""

import pytest
from conftest import tiny_mask
from export.commands import call
from tiny_project import write_project
from tiny_run import bytes_of

from dextr_vos.clip import open_clip
from dextr_vos.masks import write_labels
from dextr_vos.run_files import RunClip, RunObject, RunRecord, RunTraining, write_record
from dextr_vos.workspace import Workspace


def write_run(clip, run):
    """The masks of a run, and its record."""
    for index, name in enumerate(clip.names):
        write_labels(run.mask(name), tiny_mask(index))
    record = RunRecord(
        model="lite",
        clip=RunClip.of(clip),
        objects=(RunObject(id=1, name="it"),),
        keyframes=clip.names[:1],
        longest_side=None,
        settings={},
        parent=None,
        seed=0,
        training=RunTraining(steps=1, stop="converged", loss=0.1, seconds=1.0),
        fingerprint="0",
    )
    write_record(run.record, record)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Clips dog and scooter of the same size, with workspaces, runs and exports."""
    clips, work = write_project(tmp_path, "dog", "scooter")
    monkeypatch.chdir(tmp_path)
    for name in ("dog", "scooter"):
        write_run(open_clip(clips / name), Workspace(work / name).run)
    call("export", "work/dog", "--coco", "work/dog/exports/coco.json")
    return tmp_path


@pytest.mark.parametrize("masks", ["work/scooter", "work/scooter/propagation"])
@pytest.mark.parametrize("clip", ["work/dog", "clips/dog"])
@pytest.mark.parametrize(
    "what",
    [
        ("--coco", "work/dog/exports/coco.json"),
        ("--format", "yolo", "-o", "y"),
        ("--format", "rgba", "-o", "r"),
    ],
)
def test_masks_of_another_clip_are_not_exported(place, clip, masks, what):
    before = bytes_of(place / "work/dog/exports")
    refused = call("export", clip, "--masks", masks, *what, status=2)
    assert refused.stderr == (
        f"dextr-vos: {masks} holds masks of {place}/clips/scooter, not of {clip}; give the run of this clip\n"
    )
    assert bytes_of(place / "work/dog/exports") == before
    assert sorted(path.name for path in place.iterdir()) == ["clips", "work"]


def test_folders_that_are_no_run_are_exported_with_any_clip(place):
    call("export", "clips/dog", "--masks", "work/scooter/propagation/masks", "--coco", "plain.json")
    (place / "work/scooter/propagation/run.json").write_text('{"keyframes": ["00000"]}')
    call("export", "clips/dog", "--masks", "work/scooter/propagation", "--coco", "by hand.json")


def test_a_run_of_another_clip_in_a_workspace_is_not_exported(place):
    write_run(open_clip("clips/scooter"), Workspace(place / "work/dog").run)
    refused = call("export", "work/dog", "--coco", "c.json", status=2)
    assert f"work/dog holds masks of {place}/clips/scooter, not of work/dog" in refused.stderr


def test_a_run_of_frames_that_have_changed_is_not_exported(place):
    (place / "clips/dog/00001.png").rename(place / "removed.png")
    refused = call("export", "clips/dog", "--masks", "work/dog/propagation", "--coco", "c.json", status=2)
    assert (
        "the frames of clips/dog have changed since the masks of work/dog/propagation were made "
        "(3 frames then, 2 now); restore them, or make a new run of this clip"
    ) in refused.stderr
