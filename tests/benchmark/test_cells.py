import pytest
from pydantic import ValidationError
from tiny_benchmark import tiny_settings

from dextr_vos.benchmark.grid import grid


def test_every_combination_is_a_cell_once(tmp_path):
    cells = grid(tiny_settings(tmp_path, keyframes=(3, 1), seeds=(0, 1)), ["bear", "dog"])
    assert len(cells) == len(set(cells)) == 2 * 2 * 2 * 2
    assert [cell.keyframes for cell in cells[:4]] == [1, 1, 3, 3]
    assert str(cells[0]) == "bear, gt, 1 keyframe, lite, seed 0"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"keyframes": (1, 1)}, "got 1 several times"),
        ({"keyframes": (0,)}, "at least 1"),
        ({"seeds": (-1,)}, "seeds from 0"),
        ({"supervision": ("clicks",)}, "clicks.files"),
        ({"networks": ("osvos",)}, "parent.osvos"),
        ({"supervision": ("clicks",), "clicks": {"files": "x"}, "choose": ("suggest",)}, "choose even"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(tmp_path, changes, told):
    with pytest.raises(ValidationError, match=told):
        tiny_settings(tmp_path, **changes)
