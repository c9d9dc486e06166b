"""The clips of a project, found in the folder of the clips or of the workspaces."""

import pytest
from conftest import tiny_mask
from tiny_project import write_project

from dextr_vos.errors import InputError
from dextr_vos.masks import write_labels
from dextr_vos.project.clips import clips_in, workspaces_in


def test_a_workspace_beside_clips_hides_none_of_them(tmp_path):
    clips, work = write_project(tmp_path, "cat", "cow", "dog", frames=1)
    assert [*workspaces_in(clips, work)] == [*workspaces_in(work)] == ["cat", "cow", "dog"]
    (work / "dog").rename(clips / "dog-work")
    with pytest.raises(InputError, match="has clips in it, like cat, and workspaces, like dog-work"):
        workspaces_in(clips)
    assert {"cat", "cow"} < workspaces_in(clips, clips).keys()


def test_a_workspace_with_images_in_it_is_no_clip(tmp_path):
    _, work = write_project(tmp_path, "cat", "dog", frames=1)
    for suffix in ("png", "jpg"):  # as a photograph, too
        write_labels(work / "cat" / "00000.png", tiny_mask(0))
        (work / "cat" / "00000.png").rename(work / "cat" / f"0.{suffix}")
    assert clips_in(work, work) == {}
    assert [*workspaces_in(work)] == ["cat", "dog"]


def test_folders_of_masks_are_left_out_and_named_once(tmp_path, caplog):
    clips, work = write_project(tmp_path, "cat", "dog", frames=1)
    for name in ("truth", "results"):
        write_labels(clips / name / "00000.png", tiny_mask(0))
    for _ in range(2):
        assert [*clips_in(clips, work)] == [*workspaces_in(clips, work)] == ["cat", "dog"]
    assert caplog.messages == [
        f"left out of {clips}: results, truth (2 in all); folders of masks are no clips"
    ]
