"""Fixtures of the tests of commands."""

import json
from pathlib import Path

import pytest
from bad_input import POINTS
from conftest import tiny_mask

from dextr_vos.masks import write_labels


@pytest.fixture
def place(tmp_path: Path, tiny_clip: Path) -> Path:
    """A folder with a good clip (tiny), clicks (clicks.json), masks, and a DAVIS root of two frames."""
    (tmp_path / "clicks.json").write_text(json.dumps({"00000": [POINTS]}))
    for index in range(6):
        write_labels(tmp_path / "masks" / f"{index:05d}.png", tiny_mask(index))
        write_labels(tmp_path / "davis/Annotations/480p/tiny" / f"{index:05d}.png", tiny_mask(index))
        write_labels(tmp_path / "results/tiny" / f"{index:05d}.png", tiny_mask(index))
    return tmp_path
