from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tiny_datasets import make_coco, make_davis, make_sbd, make_voc, save, scene

from dextr_vos.datasets.registry import DataSettings, fold_of, is_held_out, open_objects
from dextr_vos.errors import ConfigError, InputError
from dextr_vos.masks import write_labels


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    """All data sets below one folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    make_voc(folder)
    make_sbd(folder)
    make_coco(folder / "coco", "train2017")
    make_davis(folder / "DAVIS", split="train")
    for index in range(2):
        rgb, labels = scene(index)
        save(folder / "own" / "images" / f"{index}.png", rgb)
        write_labels(folder / "own" / "labels" / f"{index}.png", labels)
    (folder / "own.yaml").write_text(
        "images: images\nlabels: labels\nobjects: [{name: o, values: [1-9], each: true}]\n"
    )
    return folder


KINDS = [
    ({"kind": "voc", "root": "VOCdevkit"}, 8, "voc train"),
    ({"kind": "voc", "root": "VOCdevkit", "split": "val"}, 4, "voc val"),
    ({"kind": "sbd", "root": "benchmark_RELEASE"}, 6, "sbd train"),
    ({"kind": "voc+sbd", "root": "VOCdevkit", "sbd_root": "benchmark_RELEASE"}, 18, "voc+sbd"),
    ({"kind": "coco", "root": "coco"}, 6, "coco train2017"),
    ({"kind": "coco", "root": "coco", "categories": ["cat"]}, 3, "coco train2017"),
    ({"kind": "davis", "root": "DAVIS", "every": 2}, 8, "davis train"),
    ({"kind": "folder", "root": "own", "description": "own.yaml"}, 4, "folder own"),
]


@pytest.mark.parametrize(("values", "count", "told"), KINDS, ids=lambda value: str(value)[:40])
def test_every_kind_opens_with_its_objects(root: Path, values, count, told):
    data = DataSettings.model_validate(values)
    objects = open_objects(data, root, root)
    assert len(objects.refs) == count
    example = objects.read(count - 1)
    assert example.mask.any()
    assert example.image_rgb.shape[:2] == example.mask.shape == example.void.shape
    assert not (example.mask & example.void).any()
    assert data.describe() == told


def test_objects_are_chosen_by_their_area(root: Path):
    areas = [ref.area for ref in open_objects(DataSettings(kind="voc", root=root), Path(), Path()).refs]
    middle = int(np.median(areas))
    for bounds in ({"min_area": middle}, {"max_area": middle}, {"min_area": middle, "max_area": middle}):
        data = DataSettings.model_validate({"kind": "voc", "root": str(root)} | bounds)
        kept = [ref.area for ref in open_objects(data, Path(), Path()).refs]
        least, most = bounds.get("min_area", 0), bounds.get("max_area", 10**9)
        assert kept == [area for area in areas if least <= area <= most]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "voc", "root": "nowhere"}, "there is no folder"),
        ({"kind": "sbd", "root": "VOCdevkit"}, "Semantic Boundaries"),
        ({"kind": "coco", "root": "coco", "split": "val2017"}, "instances_val2017"),
        ({"kind": "voc", "root": "VOCdevkit", "split": "tset"}, "its splits are train, trainval, val"),
    ],
)
def test_what_is_missing_is_told(root: Path, values, words):
    with pytest.raises(InputError, match=words):
        open_objects(DataSettings.model_validate(values), root, root)


def test_a_folder_needs_its_description(root: Path):
    with pytest.raises(ConfigError, match="expected a description with kind folder"):
        open_objects(DataSettings(kind="folder", root=root / "own"), Path(), Path())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "voc+sbd", "split": "val"}, "expected split with the kind voc or sbd or coco or davis"),
        ({"kind": "folder", "split": "val"}, "expected split"),
        ({"kind": "voc", "categories": ["cat"]}, "expected categories with the kind coco, got voc"),
        ({"kind": "voc", "description": "own.yaml"}, "expected description with the kind folder"),
        ({"kind": "sbd", "sbd_root": "x"}, r"expected sbd_root with the kind voc\+sbd"),
        ({"kind": "pascal"}, "voc"),
        ({"kind": "voc", "repeat": 0}, "greater than 0"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(values, words):
    with pytest.raises(ValidationError, match=words):
        DataSettings.model_validate(values)


def test_held_out_images_and_folds_follow_from_names_alone():
    names = [f"2007_{number:06d}" for number in range(4000)]
    apart = [is_held_out(name, 0.1) for name in names]
    halves = np.array([fold_of(name) for name in names])
    assert apart == [is_held_out(name, 0.1) for name in names]
    assert np.mean(apart) == pytest.approx(0.1, abs=0.02)
    assert not any(is_held_out(name, 0.0) for name in names)
    assert all(is_held_out(name, 0.2) for name, is_apart in zip(names, apart, strict=True) if is_apart)
    assert halves.mean() == pytest.approx(0.5, abs=0.03)
    assert halves[np.array(apart)].mean() == pytest.approx(0.5, abs=0.1)
