import json

import numpy as np
import official_package
import pytest
from click.testing import CliRunner
from PIL import Image

from dextr_vos.cli.evaluate import command
from dextr_vos.errors import InputError

FRAMES = [f"{index:05d}" for index in range(5)]


@pytest.fixture
def folders(tmp_path):
    """A DAVIS root and results that are right, as the command's two required options."""
    mask = np.zeros((20, 30), dtype=np.uint8)
    mask[5:15, 8:20] = 255
    for folder in ("davis/Annotations/480p", "results"):
        for clip in ("bear", "dog"):
            (tmp_path / folder / clip).mkdir(parents=True)
            for name in FRAMES:
                Image.fromarray(mask).save(tmp_path / folder / clip / f"{name}.png")
    lists = tmp_path / "davis" / "ImageSets" / "2016"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("dog\n")
    return ["--davis-root", str(tmp_path / "davis"), "--results", str(tmp_path / "results")]


def call(*arguments):
    return CliRunner().invoke(command, list(arguments))


def test_split_is_scored_and_written(folders, tmp_path):
    result = call(*folders)
    assert result.exit_code == 0, result.output
    assert "dog" in result.stdout
    assert "bear" not in result.stdout
    assert result.stderr == ""
    table = (tmp_path / "results" / "per-sequence_results-val.csv").read_text()
    assert table == "Sequence,J-Mean,F-Mean\ndog_1,1.000,1.000\n"
    assert (tmp_path / "results" / "global_results-val.csv").is_file()


def test_clips_keyframes_and_json(folders, tmp_path):
    path = tmp_path / "scores.json"
    result = call(*folders, "--clips", "dog, bear", "--annotated-frames", "0,00002", "--json", str(path))
    assert result.exit_code == 0, result.output
    assert "without a keyframe" in result.stdout
    content = json.loads(path.read_text())
    assert list(content["all_frames"]["objects"]) == ["dog_1", "bear_1"]
    assert content["without_keyframes"]["objects"]["dog_1"]["frames"] == ["00001", "00003"]
    assert content["keyframes"]["bear"] == ["00000", "00002"]


def test_the_second_table_is_shown_where_it_differs(folders):
    assert "without a keyframe" not in call(*folders, "--annotated-frames", "0").stdout


def test_a_part_of_a_clip(folders, tmp_path):
    for name in FRAMES[3:]:
        (tmp_path / "results" / "dog" / f"{name}.png").unlink()
    assert "--frames" in str(call(*folders).exception)
    path = tmp_path / "scores.json"
    done = call(*folders, "--frames", "0-2", "--json", str(path))
    assert done.exit_code == 0, done.output
    assert "Frames 0-2" in done.stdout
    content = json.loads(path.read_text())
    assert content["frames"] == "0-2"
    (one,) = content["all_frames"]["objects"].values()
    assert one["frames"] == ["00001", "00002"]
    assert not list((tmp_path / "results").glob("*.csv"))


def test_year_is_told_or_given(folders, tmp_path):
    path = tmp_path / "scores.json"
    for year, expected in (("auto", 2016), ("2016", 2016), ("2017", 2017)):
        assert call(*folders, "--year", year, "--json", str(path)).exit_code == 0
        assert json.loads(path.read_text())["year"] == expected


def test_plot_has_a_chart_a_clip_with_the_keyframes_marked(folders, tmp_path):
    path = tmp_path / "new" / "scores.svg"
    result = call(*folders, "--clips", "dog,bear", "--annotated-frames", "0,3", "--plot", str(path))
    assert result.exit_code == 0, result.output
    assert f"wrote {path}" in result.stdout
    text = path.read_text()
    assert text.count("<polyline") == 2
    assert text.count("<title>keyframe 00003</title>") == 2
    assert "J 1.000, lowest 1.00 in 00001" in text


def test_t_is_shown_for_2016_unless_left_out(folders, tmp_path):
    path = tmp_path / "scores.json"
    result = call(*folders, "--clips", "bear", "--json", str(path))
    assert "T: lower is more stable." in result.stdout
    assert json.loads(path.read_text())["all_frames"]["overall"]["T"] == {"mean": 0}
    for options in (["--no-stability"], ["--year", "2017"]):
        result = call(*folders, "--json", str(path), *options)
        assert result.exit_code == 0, result.output
        assert "stable" not in result.stdout
        assert "T" not in json.loads(path.read_text())["all_frames"]["overall"]


def test_objects_that_come_later_are_scored_when_asked_for(folders, tmp_path):
    for folder in ("davis/Annotations/480p", "results"):
        for name in FRAMES:
            labels = np.zeros((20, 30), dtype=np.uint8)
            labels[5:15, 8:20] = 1
            if name >= FRAMES[2]:
                labels[16:19, 2:6] = 2
            Image.fromarray(labels).save(tmp_path / folder / "dog" / f"{name}.png")
    path = tmp_path / "scores.json"
    result = call(*folders, "--objects", "from-first-appearance", "--json", str(path))
    assert result.exit_code == 0, result.output
    objects = json.loads(path.read_text())["all_frames"]["objects"]
    assert objects["dog_2"]["frames"] == FRAMES[3:4]
    assert isinstance(call(*folders).exception, InputError)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--davis-root", "/nowhere"], "there is no DAVIS folder /nowhere"),
        (["--results", "/nowhere"], "there is no folder of results /nowhere"),
        (["--clips", "cat"], "no clip 'cat' in .*; there are bear, dog"),
        (["--clips", ","], "at least one clip"),
        (["--split", "test"], "its splits are val"),
        (["--annotated-frames", "99"], "the keyframe '99' is no frame of clip dog"),
        (["--frames", "first,last"], "none of the frames 'first,last' of clip dog is scored"),
        (["--frames", "7"], "'7' is no frame of .*dog: expected an index from 0 to 4"),
        (["--frames", "1", "--official"], "--official scores whole clips; leave out --frames"),
        (["--plot", "scores.png"], "expected --plot FILE.svg, got scores.png; charts are drawn as SVG"),
        (["--json", "/proc/nowhere/scores.json"], "cannot write the scores"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(folders, options, words):
    result = call(*folders, *options)
    assert isinstance(result.exception, InputError)
    with pytest.raises(InputError, match=words):
        raise result.exception


@pytest.mark.parametrize("options", [["--year", "2015"], ["--clip", "dog"], ["dog"]])
def test_unknown_options_are_refused_by_click(folders, options):
    assert call(*folders, *options).exit_code == 2


def test_official_scores_are_held_against_ours(folders, monkeypatch):
    official_package.install(monkeypatch, wrong_by=0.25)
    result = call(*folders, "--official")
    assert result.exit_code == 0, result.output
    assert "largest difference from the official scores: 2.5e-01, J and F of 3 frames" in result.stdout


def test_a_missing_official_package_is_told_before_anything_is_scored(folders, monkeypatch, tmp_path):
    official_package.remove(monkeypatch)
    with pytest.raises(InputError, match="needs the package davis2017"):
        CliRunner().invoke(command, [*folders, "--official"], catch_exceptions=False)
    assert not list((tmp_path / "results").glob("*.csv"))
