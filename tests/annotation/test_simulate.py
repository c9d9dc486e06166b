from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_mask

from dextr_vos.annotation.simulate import simulate_clicks
from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import write_labels


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    for index in range(6):
        labels = tiny_mask(index)
        labels[:5, :4] = 3 if index != 2 else 0
        write_labels(folder / f"{index:05d}.png", labels)
    return folder


def points_of(annotations, frame: str, number: int) -> list[list[int]]:
    return annotations.keyframes[frame].objects[number].points_xy().tolist()


def test_every_object_gets_its_four_sides(tiny_clip: Path, masks: Path) -> None:
    annotations = simulate_clicks(open_clip(tiny_clip), masks, [0, 2])
    assert points_of(annotations, "00000", 1) == [[8, 23], [25, 23], [16, 14], [16, 33]]
    assert points_of(annotations, "00000", 3) == [[0, 2], [3, 2], [1, 0], [1, 4]]
    assert list(annotations.keyframes["00002"].objects) == [1]
    assert annotations.keyframes["00002"].objects[1].points[0].origin == "simulated"


def test_jitter_is_seeded_and_does_not_depend_on_the_other_frames(tiny_clip: Path, masks: Path) -> None:
    clip = open_clip(tiny_clip)
    both = simulate_clicks(clip, masks, [0, 4], jitter_px=4, seed=7)
    alone = simulate_clicks(clip, masks, [4], jitter_px=4, seed=7)
    other = simulate_clicks(clip, masks, [4], jitter_px=4, seed=8)
    assert points_of(both, "00004", 1) == points_of(alone, "00004", 1)
    assert points_of(alone, "00004", 1) != points_of(other, "00004", 1)
    mask = tiny_mask(4)
    assert all(mask[y, x] for x, y in points_of(alone, "00004", 1))


def test_errors(tiny_clip: Path, masks: Path, tmp_path: Path) -> None:
    clip = open_clip(tiny_clip)
    with pytest.raises(InputError, match="there is no mask folder"):
        simulate_clicks(clip, tmp_path / "none", [0])
    (masks / "00001.png").unlink()
    with pytest.raises(InputError, match=r"there is no mask .*00001\.png"):
        simulate_clicks(clip, masks, [0, 1])
    write_labels(masks / "00000.png", np.zeros((48, 64), dtype=np.uint8))
    with pytest.raises(InputError, match="are empty in frames '00000'"):
        simulate_clicks(clip, masks, [0])


def test_an_object_too_small_to_click_is_skipped_with_a_warning(tiny_clip: Path, masks: Path, caplog) -> None:
    labels = tiny_mask(0)
    labels[40, 60], labels[0:2, 0:9] = 2, 4
    write_labels(masks / "00000.png", labels)
    annotations = simulate_clicks(open_clip(tiny_clip), masks, [0])
    assert list(annotations.keyframes["00000"].objects) == [1]
    assert "object 2 of frame '00000' is skipped" in caplog.text
    assert "object 4 of frame '00000' is skipped" in caplog.text
    write_labels(masks / "00000.png", np.where(labels == 1, 0, labels))
    with pytest.raises(InputError, match="or too small to click"):
        simulate_clicks(open_clip(tiny_clip), masks, [0])
