import json

import pytest
from PIL import Image
from tiny_benchmark import tiny_settings, write_davis

from dextr_vos.benchmark import grid as key
from dextr_vos.benchmark.grid import grid
from dextr_vos.datasets.davis import Davis


@pytest.fixture
def root(tmp_path):
    return write_davis(tmp_path / "davis", {"bear": 4})


def keys(root, **changes):
    """Keys by supervision, of two keyframes."""
    settings = tiny_settings(
        root, **{"supervision": ("gt", "dextr", "grabcut"), "keyframes": (2,), **changes}
    )
    return {cell.supervision: key.key_of(cell, settings, Davis(root)) for cell in grid(settings, ["bear"])}


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
def test_another_picture_or_mask_changes_the_key(root, file):
    before = keys(root)
    with Image.open(root / file) as picture:
        changed = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    changed.save(root / file)
    assert not set(before.values()) & set(keys(root).values())


def test_one_keyframe_is_the_same_whoever_chooses(root):
    assert keys(root, keyframes=(1,)) == keys(root, keyframes=(1,), choose=("suggest",))


def test_another_algorithm_changes_the_key(root, monkeypatch):
    before = keys(root)
    monkeypatch.setattr(key, "ALGORITHM", key.ALGORITHM + 1)
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
