"""The brush against its rule, pixel by pixel; layers on a disk that fails."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dextr_vos.errors import InputError
from dextr_vos.web.layers import LayerStore, stroke_mask


def by_the_rule(path, radius, size_hw):
    mask = np.zeros(size_hw, dtype=bool)
    pairs = list(pairwise(path)) or [(path[0], path[0])]
    for row, column in np.ndindex(size_hw):
        x, y = column + 0.5, row + 0.5
        for (ax, ay), (bx, by) in pairs:
            dx, dy = bx - ax, by - ay
            length = dx * dx + dy * dy
            along = min(1, max(0, ((x - ax) * dx + (y - ay) * dy) / length)) if length else 0
            mask[row, column] |= (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2 <= radius**2
    return mask


@pytest.mark.parametrize("radius", [0.75, 1, 2.4, 6.5])
@pytest.mark.parametrize(
    "path",
    [
        [(10.25, 7.5)],
        [(10.5, 7.5), (10.5, 7.5)],
        [(3.2, 4.1), (15.7, 9.3), (15.7, 2)],
        [(-5.0, -5.0), (3.0, 4.0)],
        [(19.9, 13.9), (40.0, 60.0)],
    ],
)
def test_a_stroke_covers_what_the_rule_says(path, radius):
    assert (stroke_mask(path, radius, (14, 20)) == by_the_rule(path, radius, (14, 20))).all()


def test_a_stroke_outside_the_picture_paints_nothing():
    assert not stroke_mask([(-50, 5), (-40, 5)], 3, (14, 20)).any()
    assert not stroke_mask([(5, 500)], 3, (14, 20)).any()


def test_the_smallest_tip_paints_the_pixel_it_points_at():
    mask = stroke_mask([(4.5, 3.5)], 0.5, (8, 8))
    assert mask.sum() == 1
    assert mask[3, 4]


def test_a_stroke_that_would_take_minutes_is_refused():
    with pytest.raises(InputError, match="paint it in parts"):
        stroke_mask([(0, 0), (2000, 2000)] * 300, 2000, (2000, 2000))


def test_a_layer_that_a_power_cut_left_empty_is_written_again(tmp_path):
    mask = np.eye(8, dtype=bool)
    digest = LayerStore(tmp_path).put(mask)
    (tmp_path / f"{digest}.png").write_bytes(b"")
    LayerStore(tmp_path).put(mask)
    found = LayerStore(tmp_path).get(digest, (8, 8))
    assert found is not None
    assert (found == mask).all()


def test_a_layer_that_the_disk_refused_is_written_and_waited_for_again(tmp_path, monkeypatch):
    """A disk may report a lost page only once, and what is in memory is not on the disk."""
    layers, mask = LayerStore(tmp_path.resolve() / "layers"), np.eye(8, dtype=bool)
    earlier = layers.put(~mask)
    layers.unsynced.wait()
    written, broken, fsync = [], [True], os.fsync

    def failing(opened):
        written.append(Path(f"/proc/self/fd/{opened}").readlink())
        if broken and written[-1].suffix == ".png":
            broken.clear()
            raise OSError(5, "Input/output error")
        fsync(opened)

    monkeypatch.setattr(os, "fsync", failing)
    path = layers.folder / f"{layers.put(mask)}.png"
    with pytest.raises(OSError, match="Input/output error"):
        layers.unsynced.wait()
    assert layers.get(path.stem, (8, 8)) is None
    assert [file.stem for file in layers.folder.iterdir()] == [earlier]
    written.clear()
    layers.put(mask)
    layers.unsynced.wait()
    assert set(written) == {path, layers.folder}
    assert path.exists()
