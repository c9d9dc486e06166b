import csv
import json
import os
import re
import signal

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_datasets import make_coco, make_davis, make_grabcut, make_voc

from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.benchmark import click_run
from dextr_vos.cli.main import main
from dextr_vos.images import read_image
from dextr_vos.masks import write_labels

DESCRIPTION = """\
images: images
labels: labels
objects:
  - {name: square, values: [1]}
  - {name: bar, values: [2]}
"""
PICTURES = 4


@pytest.fixture
def place(tmp_path, tmp_path_factory, monkeypatch):
    """A folder data set of four pictures with two objects each, and DAVIS with two clips of three frames."""
    for index in range(PICTURES):
        labels = tiny_mask(index)
        labels[40:46, 5:50] = 2
        write_labels(tmp_path / "set/labels" / f"{index}.png", labels)
        (tmp_path / "set/images").mkdir(exist_ok=True)
        Image.fromarray(tiny_frame(index)).save(tmp_path / "set/images" / f"{index}.png")
    (tmp_path / "set/set.yaml").write_text(DESCRIPTION)
    for clip, first in (("bear", 0), ("dog", 3)):
        for kind in ("JPEGImages", "Annotations"):
            (tmp_path / "davis" / kind / "480p" / clip).mkdir(parents=True)
        for index in range(3):
            stem = f"480p/{clip}/{index:05d}"
            Image.fromarray(tiny_frame(first + index)).save(tmp_path / "davis/JPEGImages" / f"{stem}.jpg")
            mask = Image.fromarray(tiny_mask(first + index) * 255)
            mask.save(tmp_path / "davis/Annotations" / f"{stem}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    return tmp_path


@pytest.fixture
def boxes(monkeypatch):
    """A model that knows nothing but the box of the clicks, in the place of all models."""

    class Boxes(Segmenter):
        name, threshold, calls = "boxes", 0.5, 0

        def probabilities(self, image_rgb, objects_xy):
            self.calls += 1
            (points,) = objects_xy
            prob = np.zeros(image_rgb.shape[:2], dtype=np.float32)
            (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
            prob[y0 : y1 + 1, x0 : x1 + 1] = 1
            return [prob]

    engine = Boxes()
    monkeypatch.setattr(click_run, "load_segmenter", lambda *_: engine)
    return engine


FOLDER = ("--dataset", "folder", "--description", "set/set.yaml")
DAVIS = ("--dataset", "davis", "--root", "davis")


def call(*options, code=0):
    result = CliRunner().invoke(main, ["evaluate-clicks", *options], env={"COLUMNS": "100"})
    assert result.exit_code == code, (result.output, result.exception)
    return result


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_folder_by_category_with_grabcut(place):
    result = call(*FOLDER, "--model", "grabcut", "--max-objects", "3", "--out", "out")
    for words in ("Category", "square", "bar", "mean of categories", "wrong pixels"):
        assert words in result.stdout
    assert "wrote objects.csv, summary.json and worst.jpg into out" in result.stdout
    content = json.loads((place / "out/summary.json").read_text())
    assert (content["overall"]["objects"], content["objects_in_all"]) == (3, 3)
    assert content["segmenter"] == "grabcut"
    assert content["complete"]
    assert content["dataset"]["kind"] == "folder"
    assert content["dataset"]["description"] == ["set/set.yaml"]
    table = rows(place / "out/objects.csv")
    assert len(table) == 3
    mean = np.mean([float(row["iou"]) for row in table])
    assert content["overall"]["iou"] == pytest.approx(mean, abs=1e-6)
    assert read_image(place / "out/worst.jpg").ndim == 3


def test_perfect_engine_is_perfect_and_nothing_is_written_unasked(place, boxes):
    """All objects are rectangles."""
    before = sorted(place.rglob("*"))
    result = call(*FOLDER)
    assert re.search(r"mean of objects +8 1\.000 1\.000 1\.000 1\.000", result.stdout)
    assert sorted(place.rglob("*")) == before
    assert boxes.calls == 2 * PICTURES


def test_extra_clicks_are_counted(place, boxes):
    result = call(*FOLDER, "--extra-clicks", "--out", "out", "--categories", "square")
    assert "not reached by 0.0% of objects" in result.stdout
    assert {row["noc_90"] for row in rows(place / "out/objects.csv")} == {"4"}
    content = json.loads((place / "out/summary.json").read_text())
    assert content["overall"]["noc"] == {"0.85": 4, "0.9": 4}
    assert content["group_mean"]["curve"] == {"4": 1.0}
    assert "IoU by number of clicks, mean of categories: 4: 1.000" in result.stdout
    assert not (place / "out/curve.svg").exists()  # one number of clicks is no curve


def test_the_curve_of_corrections_is_drawn(place, monkeypatch):
    class Halves(Segmenter):
        """Half of the image after one click, all of it after two."""

        name, threshold, corrects = "halves", 0.5, True

        def probabilities(self, image_rgb, objects_xy):
            raise AssertionError("nobody gives extreme points here")

        def prompted(self, image_rgb, prompts):
            height, width = image_rgb.shape[:2]
            prob = np.zeros((height, width), dtype=np.float32)
            prob[:, : width // 2 if len(prompts[0].clicks) == 1 else width] = 1
            return [prob]

    monkeypatch.setattr(click_run, "load_segmenter", lambda *_: Halves())
    options = ("--protocol", "ritm", "--extra-clicks", "--max-clicks", "4", "--categories", "square")
    result = call(*FOLDER, *options, "--out", "out")
    content = json.loads((place / "out/summary.json").read_text())
    assert content["protocol"] == "ritm"
    assert list(content["overall"]["curve"])[:2] == ["1", "2"]
    assert "1: 0." in result.stdout
    drawn = (place / "out/curve.svg").read_text()
    assert drawn.startswith("<svg")
    assert "clicks on an object" in drawn


def test_a_model_of_extreme_points_alone_has_no_protocol_without_them(place, boxes):
    result = call(*FOLDER, "--protocol", "ritm", code=2)
    assert "the model boxes takes extreme points and further points on the outline" in result.stderr


@pytest.mark.parametrize(
    ("dataset", "make", "options", "groups"),
    [
        ("voc", make_voc, (), {"aeroplane": 2, "bicycle": 2}),
        ("voc", make_voc, ("--split", "train", "--categories", "bicycle"), {"bicycle": 4}),
        ("coco", make_coco, (), {"cat": 3, "dog": 3}),
        ("grabcut", make_grabcut, (), {"object": 3}),
        ("davis", make_davis, ("--year", "2017", "--every", "2"), {"bear": 4, "dog": 4}),
    ],
)
def test_every_data_set(place, boxes, dataset, make, options, groups):
    root = make(place / dataset / "root")
    result = call("--dataset", dataset, "--root", str(root), *options, "--extra-clicks", "--out", "out")
    content = json.loads((place / "out/summary.json").read_text())
    assert {name: group["objects"] for name, group in content["groups"].items()} == groups
    assert 0.4 < content["overall"]["iou"] < 1
    assert 4 <= content["overall"]["noc"]["0.85"] <= 20
    assert all(name in result.stdout for name in groups)


def test_davis_by_clip(place, boxes):
    result = call(*DAVIS, "--every", "2", "--out", "out")
    for words in ("Clip", "bear", "dog", "mean of clips"):
        assert words in result.stdout
    content = json.loads((place / "out/summary.json").read_text())
    assert {name: group["objects"] for name, group in content["groups"].items()} == {"bear": 2, "dog": 2}
    assert call(*DAVIS, "--categories", "dog").stdout.count("bear") == 0


def test_people_beside_the_simulation(place, boxes):
    points = [[4, 20], [25, 14], [8, 33], [20, 40]]
    (place / "h.json").write_text(json.dumps({"2": {"1": points}}))
    result = call(*FOLDER, "--human", "h.json", "--out", "out")
    assert "human" in result.stdout
    (row,) = rows(place / "out/objects.csv")
    assert (row["image"].rpartition("/")[2], row["object"]) == ("2", "1")
    assert float(row["human_iou"]) < float(row["iou"]) == 1.0


def test_the_same_seed_gives_the_same_files(place, boxes):
    for out in ("a", "b"):
        call(*FOLDER, "--jitter", "4", "--seed", "7", "--out", out)
    call(*FOLDER, "--jitter", "4", "--seed", "8", "--out", "c")
    first, second, other = ((place / out / "objects.csv").read_bytes() for out in "abc")
    assert first == second != other


def test_ctrl_c_keeps_what_is_done(place, boxes, monkeypatch):
    plain = boxes.probabilities

    def probabilities(*given):
        if boxes.calls == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(*given)

    monkeypatch.setattr(boxes, "probabilities", probabilities)
    result = call(*FOLDER, "--out", "out", code=130)
    assert "stopped after 3 of 8 objects" in result.stderr
    assert "mean of objects" in result.stdout
    assert len(rows(place / "out/objects.csv")) == 3
    assert json.loads((place / "out/summary.json").read_text())["objects_in_all"] == 8


def test_a_broken_picture_keeps_what_is_done(place, boxes):
    path = place / "set/images/2.png"
    path.write_bytes(path.read_bytes()[:2000])
    result = call(*FOLDER, "--out", "out", code=2)
    assert "cannot read the image set/images/2.png" in result.stderr
    assert len(rows(place / "out/objects.csv")) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--dataset", "folder"), "needs --description FILE"),
        (("--dataset", "folder", "--description", "none.yaml"), r"none\.yaml"),
        ((*FOLDER, "--root", "nowhere"), "there is no folder of images nowhere/images"),
        (("--dataset", "davis"), "--dataset davis needs --root"),
        (("--dataset", "davis", "--root", "nowhere"), "there is no DAVIS folder nowhere"),
        (("--dataset", "voc", "--root", "nowhere"), "nowhere"),
        (("--dataset", "coco", "--root", "nowhere"), "nowhere"),
        (("--dataset", "grabcut", "--root", "nowhere"), "nowhere"),
        ((*FOLDER, "--every", "3"), "--every goes with --dataset davis, not with folder"),
        ((*FOLDER, "--split", "val"), "--split goes with --dataset voc or coco or davis"),
        ((*DAVIS, "--description", "set/set.yaml"), "--description goes with --dataset folder"),
        ((*FOLDER, "--max-clicks", "9"), "--max-clicks goes with --extra-clicks"),
        ((*FOLDER, "--categories", "square,cat"), "no category 'cat' in the data set; it has bar, square"),
        ((*FOLDER, "--min-area", "9999"), "no object has the categories and the 9999 pixels"),
        ((*FOLDER, "--model", "paper"), "the model paper needs weights"),
        ((*FOLDER, "--model", "paper", "--weights", "none.pth"), r"none\.pth"),
        ((*FOLDER, *FOLDER[2:], "--human", "none.json"), "--human goes with one --description"),
        ((*FOLDER, "--human", "none.json"), r"there is no file none\.json"),
        ((*FOLDER, "--human", "set/set.yaml"), "is not valid JSON"),
        ((*FOLDER, "--out", "set/set.yaml"), "is a file; --out is the folder"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(place, options, words):
    before = sorted(place.rglob("*"))
    result = call(*options, code=2)
    assert result.stderr.startswith("dextr-vos: ")
    assert result.stderr.count("\n") == 1
    assert re.search(words, result.stderr), result.stderr
    assert result.stdout == ""
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "option", [("--max-objects", "0"), ("--max-clicks", "3"), ("--jitter", "-1"), ("--year", "1")]
)
def test_numbers_out_of_range_are_refused_by_click(place, option):
    call(*FOLDER, *option, code=2)
