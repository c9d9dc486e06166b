import json

import pytest
from PIL import Image
from pydantic import ValidationError
from tiny_benchmark import tiny_settings, write_davis

from dextr_vos.benchmark import grid as module
from dextr_vos.benchmark.grid import grid, key_of
from dextr_vos.datasets.davis import Davis


@pytest.fixture
def root(tmp_path):
    return write_davis(tmp_path / "davis", {"bear": 4})


def keys(root, **changes):
    """Keys by supervision, of two keyframes."""
    settings = tiny_settings(
        root, **{"supervision": ("gt", "dextr", "grabcut"), "keyframes": (2,), **changes}
    )
    return {cell.supervision: key_of(cell, settings, Davis(root)) for cell in grid(settings, ["bear"])}


def test_keys_differ_between_cells_and_stay_as_they_are(root):
    assert keys(root) == keys(root)
    assert len(set(keys(root).values())) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": (1,)},
        {"threads": 2},
        {"precision": "auto"},
        {"parent": {"lite": "none"}},
        {"recipe": {"lite": {"max_steps": 3}}},
        {"keyframes": (3,)},
        {"choose": ("suggest",)},
        {"official": True},
    ],
)
def test_what_determines_every_result_changes_every_key(root, changes):
    before, after = keys(root), keys(root, **changes)
    assert not set(before.values()) & set(after.values())


@pytest.mark.parametrize(
    "changes", [{"workers": 7}, {"click_s": 9.0}, {"keep_runs": True}, {"device": "auto"}]
)
def test_what_changes_no_result_changes_no_key(root, changes):
    assert keys(root) == keys(root, **changes)


def test_settings_of_clicks_do_not_touch_drawn_masks(root):
    before, after = keys(root), keys(root, clicks={"jitter_px": 3})
    assert before["gt"] == after["gt"]
    assert before["dextr"] != after["dextr"]
    assert before["grabcut"] != after["grabcut"]


@pytest.mark.parametrize("file", ["JPEGImages/480p/bear/00002.jpg", "Annotations/480p/bear/00002.png"])
def test_another_frame_or_mask_changes_the_key(root, file):
    before = keys(root)
    with Image.open(root / file) as image:
        changed = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    changed.save(root / file)
    assert not set(before.values()) & set(keys(root).values())


def test_one_keyframe_is_the_same_however_chosen(root):
    assert keys(root, keyframes=(1,)) == keys(root, keyframes=(1,), choose=("suggest",))


def test_another_algorithm_changes_the_key(root, monkeypatch):
    before = keys(root)
    monkeypatch.setattr(module, "ALGORITHM", module.ALGORITHM + 1)
    assert not set(before.values()) & set(keys(root).values())


def test_the_content_of_click_files_counts(root, tmp_path):
    clicks = tmp_path / "clicks"
    clicks.mkdir()
    changes = {"supervision": ("clicks",), "clicks": {"files": clicks}}
    found = set()
    for x in (8, 9):
        points = {"00000": [[[x, 20], [25, 20], [15, 14], [15, 33]]]}
        (clicks / "bear.json").write_text(json.dumps(points))
        found.add(keys(root, **changes)["clicks"])
    assert len(found) == 2


def test_every_combination_is_a_cell_once(tmp_path):
    cells = grid(tiny_settings(tmp_path, keyframes=(3, 1), seeds=(0, 1)), ["bear", "dog"])
    assert len(cells) == len(set(cells)) == 2 * 2 * 2 * 2
    assert [cell.keyframes for cell in cells[:4]] == [1, 1, 3, 3]
    assert str(cells[0]) == "bear, gt, 1 keyframe, lite, seed 0"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keyframes": (1, 1)}, "got 1 several times"),
        ({"keyframes": (0,)}, "at least 1"),
        ({"seeds": (-1,)}, "seeds from 0"),
        ({"supervision": ("clicks",)}, "clicks.files"),
        ({"models": ("paper",)}, "parent.paper"),
        ({"supervision": ("clicks",), "clicks": {"files": "x"}, "choose": ("suggest",)}, "choose even"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(tmp_path, changes, words):
    with pytest.raises(ValidationError, match=words):
        tiny_settings(tmp_path, **changes)
