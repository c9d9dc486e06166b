"""Imports files of other programs into the tiny clip."""

import pytest
from export.commands import call

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.masks import read_labels


@pytest.fixture
def imported(tiny_clip, tmp_path):
    """Imports a file; gives what was printed, and masks by frame and name."""

    def imported(path, name):
        shown = call("import", tiny_clip, path, "--format", name, "-o", tmp_path / "back").output
        objects = load_annotations(tmp_path / "back" / "annotations.json").objects
        masks = {}
        for file in (tmp_path / "back" / "keyframes").iterdir():
            labels = read_labels(file)
            masks[file.stem] = {each.name: labels == each.id for each in objects} | {"void": labels == 255}
        return shown, masks

    return imported
