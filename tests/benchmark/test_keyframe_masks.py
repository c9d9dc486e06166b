import json
import subprocess

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_benchmark import write_davis

from dextr_vos.benchmark.grid import Cell
from dextr_vos.benchmark.keyframe_masks import KeyframeMaker, even_frames
from dextr_vos.benchmark.settings import ClickSettings
from dextr_vos.clip import open_clip
from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError
from dextr_vos.masks import read_labels

# the arithmetic of scripts/propagate_davis.sh, which must choose the same frames
_SCRIPT = (
    "for ((i = 0; i < $2; i++)); do echo $(($2 > 1 ? (i * ($1 - 1) + ($2 - 1) / 2) / ($2 - 1) : 0)); done"
)


@pytest.mark.parametrize("frames", [5, 6, 49, 50, 80, 81])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_even_frames_are_those_of_the_script(frames, count):
    done = subprocess.run(
        ["bash", "-c", _SCRIPT, "-", str(frames), str(count)], capture_output=True, text=True, check=True
    )
    chosen = even_frames(frames, count)
    assert chosen == [int(line) for line in done.stdout.split()]
    assert len(set(chosen)) == count
    assert chosen[0] == 0
    assert count == 1 or chosen[-1] == frames - 1


def test_more_keyframes_than_frames_are_refused():
    with pytest.raises(InputError, match="at least 3 frames"):
        even_frames(2, 3)


def maker(tmp_path, supervision, keyframes, **clicks):
    root = tmp_path / "davis"
    if not root.exists():
        write_davis(root, {"bear": 5})
    cell = Cell(
        clip="bear", supervision=supervision, keyframes=keyframes, choose="even", model="lite", seed=0
    )
    clip = open_clip(root / "JPEGImages" / "480p" / "bear")
    return KeyframeMaker(
        cell, ClickSettings(**clicks), Davis(root), clip, tmp_path / "workspace", "cpu", False
    )


@pytest.mark.parametrize("supervision", ["gt", "grabcut", "dextr"])
def test_masks_are_made_of_the_true_ones_or_of_clicks_on_them(tmp_path, supervision):
    making = maker(tmp_path, supervision, 2)
    assert (making.first(), making.done()) == ([0, 4], [])
    making.make([4])
    assert making.done() == [4]
    mask, truth = read_labels(tmp_path / "workspace" / "keyframes" / "00004.png") == 1, tiny_mask(4) == 1
    iou = np.sum(mask & truth) / np.sum(mask | truth)
    assert iou == 1 if supervision == "gt" else iou > 0.6


def test_clicks_of_people_are_read_and_their_frames_taken(tmp_path):
    points = [[8, 20], [25, 20], [15, 14], [15, 33]]
    frames = {name: [points] for name in ("00000", "00003", "00004")}
    (tmp_path / "bear.json").write_text(json.dumps(frames))
    assert maker(tmp_path, "clicks", 1, files=tmp_path).first() == [0]
    making = maker(tmp_path, "clicks", 2, files=tmp_path)
    assert making.first() == [0, 4]
    making.make([0])
    assert making.done() == [0]
    with pytest.raises(InputError, match="of 3 frames, expected at least 4"):
        maker(tmp_path, "clicks", 4, files=tmp_path).first()
    (tmp_path / "bear.json").unlink()
    with pytest.raises(InputError, match="no clicks on the clip bear"):
        making.first()
