"""COCO written by us, read by pycocotools."""

import contextlib
import io
import json
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tiny_mask
from tiny_run import write_keyframes

from dextr_vos.cli.main import main
from dextr_vos.clip import open_clip
from dextr_vos.export.formats.run_lengths import coco_mask


@contextlib.contextmanager
def numpy_1():
    """pycocotools 2.0.11 hands arrays over as numpy 1 did, and prints."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def export(tiny_clip, masks, target):
    arguments = ["export", str(tiny_clip), "--masks", str(masks), "--coco", str(target)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_official_reader_gives_the_masks_back(tiny_clip, tmp_path):
    from pycocotools.coco import COCO

    masks = write_keyframes(tmp_path / "masks", *range(6))
    output = export(tiny_clip, masks, tmp_path / "out" / "coco.json")
    assert "COCO file" in output
    with numpy_1():
        coco = COCO(str(tmp_path / "out" / "coco.json"))
        assert [entry["file_name"] for entry in coco.loadImgs(coco.getImgIds())] == [
            f"{index:05d}.png" for index in range(6)
        ]
        for index in range(6):
            (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=[index + 1]))
            assert (coco.annToMask(annotation) == tiny_mask(index)).all()
            assert annotation["area"] == tiny_mask(index).sum()
            assert annotation["bbox"] == [8 + 4 * index, 14, 18, 20]
    assert coco.loadCats([1])[0]["name"] == "object 1"


def test_names_come_from_the_run(tiny_clip, tmp_path):
    masks = write_keyframes(tmp_path / "masks", *range(6))
    record = {
        "model": "lite",
        "clip": {"path": "x", "frames": 6, "size_hw": [48, 64], "identity": open_clip(tiny_clip).identity},
        "objects": [{"id": 1, "name": "the square"}, {"id": 2, "name": "never seen"}],
        "keyframes": ["00000"],
        "longest_side": None,
        "settings": {},
        "parent": None,
        "seed": 0,
        "training": {"steps": 1, "stop": "converged", "loss": 0.1, "seconds": 1.0},
        "fingerprint": "0",
    }
    (masks / "run.json").write_text(json.dumps(record))
    export(tiny_clip, masks, tmp_path / "coco.json")
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [entry["name"] for entry in content["categories"]] == ["the square", "never seen"]
    assert {entry["track_id"] for entry in content["annotations"]} == {1}


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (3, 70), (5, 5)])
def test_run_lengths_of_any_mask(shape):
    from pycocotools import mask as runs

    rng = np.random.default_rng(0)
    for mask in (rng.random(shape) > 0.5, np.ones(shape, bool), np.zeros(shape, bool)):
        told = coco_mask(mask)
        json.dumps(told)
        with numpy_1():
            assert (runs.decode(told["segmentation"]).astype(bool) == mask).all()
        assert told["area"] == mask.sum()
