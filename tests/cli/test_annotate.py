import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tiny_mask
from PIL import Image

from dextr_vos.annotation import annotate
from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.annotation.segmenter import label_frame
from dextr_vos.cli.main import main
from dextr_vos.masks import read_labels, write_labels

POINTS = [[8, 20], [25, 22], [16, 14], [17, 33]]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def iou(labels: np.ndarray, truth: np.ndarray, number: int = 1) -> float:
    a, b = labels == number, truth == 1
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for index in range(6):
        write_labels(tmp_path / "truth" / f"{index:05d}.png", tiny_mask(index))
    return tmp_path / "truth"


def test_clicks_become_a_workspace(tiny_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"00000": [POINTS]}))
    output = run("annotate", tiny_clip, "--clicks", tmp_path / "c.json", "--out", tmp_path / "w")
    assert "masks made by lite: 1; keyframes now: 1, in " in output
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [
        *(".lock", "annotations.json", "keyframes", "preview", "workspace.yaml")
    ]
    with Image.open(tmp_path / "w" / "keyframes" / "00000.png") as picture:
        assert picture.mode == "P"
    assert iou(read_labels(tmp_path / "w" / "keyframes" / "00000.png"), tiny_mask(0)) > 0.7
    document = load_annotations(tmp_path / "w" / "annotations.json")
    clicked = document.keyframes["00000"].objects[1]
    assert clicked.made_by == "lite"
    assert clicked.points_xy().tolist() == POINTS


def test_the_preview_shows_mask_and_clicks(tiny_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"00000": [POINTS]}))
    run("annotate", tiny_clip, "--clicks", tmp_path / "c.json", "--out", tmp_path / "w")
    with Image.open(tmp_path / "w" / "preview" / "00000.jpg") as picture:
        shown = np.asarray(picture).astype(int)
    with Image.open(tiny_clip / "00000.png") as picture:
        frame = np.asarray(picture).astype(int)
    changed = np.abs(shown - frame).max(axis=2) > 60
    assert changed[16:32, 10:24].mean() > 0.5
    assert changed[:, 40:].mean() < 0.1


def test_a_frame_without_objects_can_join_later(tiny_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"00000": [POINTS]}))
    (tmp_path / "e.json").write_text(json.dumps({"00004": []}))
    run("annotate", tiny_clip, "--clicks", tmp_path / "c.json", "--out", tmp_path / "w")
    run("annotate", tiny_clip, "--clicks", tmp_path / "e.json", "--out", tmp_path / "w")
    assert not read_labels(tmp_path / "w" / "keyframes" / "00004.png").any()
    alone = CliRunner().invoke(
        main, ["annotate", str(tiny_clip), "--clicks", str(tmp_path / "e.json"), "--out", str(tmp_path / "n")]
    )
    assert alone.exit_code == 2
    assert "no object is clicked in any frame" in alone.stderr
    assert not (tmp_path / "n").exists()


def test_more_keyframes_join_and_replace(tiny_clip: Path, masks: Path, tmp_path: Path) -> None:
    work = tmp_path / "w"
    run("annotate", tiny_clip, "--simulate", masks, "--frames", "0,2", "--out", work)
    first = (work / "keyframes" / "00000.png").read_bytes()
    output = run("annotate", tiny_clip, "--simulate", masks, "--frames", "2,last", "--out", work)
    assert "keyframes now: 3" in output
    assert (work / "keyframes" / "00000.png").read_bytes() == first
    assert list(load_annotations(work / "annotations.json").keyframes) == ["00000", "00002", "00005"]


def test_two_objects_in_one_mask(tiny_clip: Path, tmp_path: Path) -> None:
    other = [[40, 6], [52, 6], [46, 2], [46, 11]]
    (tmp_path / "c.json").write_text(json.dumps({"00000": [POINTS, other], "00001": [None, other]}))
    run("annotate", tiny_clip, "--clicks", tmp_path / "c.json", "--out", tmp_path / "w")
    both = read_labels(tmp_path / "w" / "keyframes" / "00000.png")
    assert set(np.unique(both)) == {0, 1, 2}
    assert set(np.unique(read_labels(tmp_path / "w" / "keyframes" / "00001.png"))) == {0, 2}


def test_the_other_objects_of_a_keyframe_stay_whatever_its_format(tiny_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"00001": [None, [[40, 6], [52, 6], [46, 2], [46, 11]]]}))
    (tmp_path / "w" / "keyframes").mkdir(parents=True)
    Image.fromarray(tiny_mask(1)).save(tmp_path / "w" / "keyframes" / "00001.tif")
    run("annotate", tiny_clip, "--clicks", tmp_path / "c.json", "--out", tmp_path / "w")
    assert [path.name for path in (tmp_path / "w" / "keyframes").iterdir()] == ["00001.png"]
    labels = read_labels(tmp_path / "w" / "keyframes" / "00001.png")
    assert iou(labels, tiny_mask(1)) > 0.9
    assert (labels == 2).any()


def test_an_empty_frame_is_a_keyframe_too(tiny_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"00000": [POINTS], "00005": []}))
    run("annotate", tiny_clip, "--clicks", tmp_path / "c.json", "--out", tmp_path / "w")
    assert not read_labels(tmp_path / "w" / "keyframes" / "00005.png").any()


def test_the_same_seed_gives_the_same_workspace(tiny_clip: Path, masks: Path, tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        run(
            "annotate", tiny_clip, "--simulate", masks, "--frames", "first,middle", "--jitter", 3,
            "--seed", 5, "--out", tmp_path / name,
        )  # fmt: skip
        files.append([(tmp_path / name / "keyframes" / f"{i:05d}.png").read_bytes() for i in (0, 3)])
    assert files[0] == files[1]


def test_of_two_at_once_in_a_new_workspace_one_is_refused(tiny_clip, tmp_path, monkeypatch):
    """The second begins while the first makes its masks."""
    (tmp_path / "c.json").write_text(json.dumps({"00000": [POINTS]}))
    (tmp_path / "d.json").write_text(json.dumps({"00002": [POINTS]}))
    arguments = ["annotate", str(tiny_clip), "--out", str(tmp_path / "w"), "--model", "grabcut", "--clicks"]
    second = []

    def meanwhile(*given):
        monkeypatch.setattr(annotate, "label_frame", label_frame)
        second.append(CliRunner().invoke(main, [*arguments, str(tmp_path / "d.json")]))
        return label_frame(*given)

    monkeypatch.setattr(annotate, "label_frame", meanwhile)
    run(*arguments, tmp_path / "c.json")
    assert second[0].exit_code == 2
    assert "is in use by process" in second[0].output
    assert list(load_annotations(tmp_path / "w" / "annotations.json").keyframes) == ["00000"]


def test_a_refused_annotation_leaves_no_new_workspace(tiny_clip, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"00000": []}))
    arguments = ["annotate", tiny_clip, "--out", tmp_path / "w", "--clicks", tmp_path / "c.json"]
    assert CliRunner().invoke(main, [*map(str, arguments), "--model", "grabcut"]).exit_code == 2
    assert not (tmp_path / "w").exists()


def test_masks_that_somebody_put_among_the_keyframes_are_counted_and_kept(tiny_clip, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"00000": [POINTS]}))
    (tmp_path / "d.json").write_text(json.dumps({"00003": [POINTS]}))
    arguments = ["annotate", tiny_clip, "--out", tmp_path / "w", "--model", "grabcut", "--clicks"]
    write_labels(tmp_path / "w" / "keyframes" / "00003.png", tiny_mask(3))
    assert "masks made by grabcut: 1; keyframes now: 2, in " in run(*arguments, tmp_path / "c.json")
    refused = CliRunner().invoke(main, [str(each) for each in (*arguments, tmp_path / "d.json")])
    assert refused.exit_code == 2
    assert "in 1 frame: 00003; move these masks out of" in refused.stderr
    assert (read_labels(tmp_path / "w" / "keyframes" / "00003.png") == tiny_mask(3)).all()
