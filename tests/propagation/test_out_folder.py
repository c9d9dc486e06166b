"""Where a run may be written: not beside annotations, not among clips, not into the work on another clip."""

from pathlib import Path

import numpy as np
import pytest
from tiny_project import write_project

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.propagation.out_folder import check_run_folder
from dextr_vos.run_files import RunPaths


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Clips cat and dog, and their workspaces."""
    write_project(tmp_path, "cat", "dog", frames=2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("work/dog", "work/dog is a workspace; give a run folder, such as work/dog/propagation"),
        ("work/cat", "work/cat is a workspace; give a run folder, such as results/dog"),
        ("work/cat/propagation", "the workspace work/cat belongs to .*clips/cat .*, not to clips/dog"),
        (
            "clips",
            "clips is the folder that the clip clips/dog is in; give a run folder, such as results/dog",
        ),
        ("clips/cat/..", "clips/cat/.. is the folder that the clip clips/dog is in"),
        ("clips/dog", "the run clips/dog is the clip's own folder"),
    ],
)
def test_a_folder_of_something_else_is_refused(place, out, sentence):
    with pytest.raises(InputError, match=sentence):
        check_run_folder(RunPaths(Path(out)), open_clip("clips/dog"), None)


@pytest.mark.parametrize(
    "out", ["work/dog/propagation", "results/dog", "work/dog/other", "clips/dog/../../run"]
)
def test_others_are_not(place, out):
    check_run_folder(RunPaths(Path(out)), open_clip("clips/dog"), None)


def test_frames_in_memory_are_in_no_folder(place):
    check_run_folder(RunPaths(place), open_clip(np.zeros((2, 48, 64, 3), np.uint8)), None)
