"""The clips of a project, found in the folder of the clips or of the workspaces."""

import pytest
from tiny_project import write_project

from dextr_vos.errors import InputError
from dextr_vos.project.clips import workspaces_in


def test_a_workspace_beside_clips_hides_none_of_them(tmp_path):
    clips, work = write_project(tmp_path, "cat", "cow", "dog", frames=1)
    assert [*workspaces_in(clips, work)] == [*workspaces_in(work)] == ["cat", "cow", "dog"]
    (work / "dog").rename(clips / "dog-work")
    with pytest.raises(InputError, match="has clips in it, like cat, and workspaces, like dog-work"):
        workspaces_in(clips)
    assert {"cat", "cow"} < workspaces_in(clips, clips).keys()
