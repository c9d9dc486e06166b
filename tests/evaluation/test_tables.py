import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from dextr_vos.evaluation.davis import DavisScores, ScoringRules
from dextr_vos.evaluation.scores import ObjectScores
from dextr_vos.evaluation.tables import as_json, terminal_tables, write_csvs, write_json


def scores_of(year=2016, without_keyframes=False, t=(None, None)):
    def one(clip, number, j, f, t):
        frames = tuple(f"{index:05d}" for index in range(1, len(j) + 1))
        t = None if t is None else np.array(t)
        return ObjectScores(clip, number, frames, np.array(j), np.array(f), t)

    objects = (
        one("dog", 1, [1.0, 0.5, 1 / 3, 0.25], [1.0, 1.0, 0.5, 0.5], t[0]),
        one("paragliding-launch", 1, [0.2], [0.4], t[1]),
    )
    return DavisScores(
        rules=ScoringRules(year),
        objects=objects,
        without_keyframes=objects[:1] if without_keyframes else (),
        left_out={"paragliding-launch": "every scored frame was a keyframe"} if without_keyframes else {},
        frames={},
        keyframes={"dog": ("00000",), "paragliding-launch": ("00001",)} if without_keyframes else {},
    )


def shown(scores):
    console = Console(width=80, no_color=True)
    with console.capture() as capture:
        for table in terminal_tables(scores):
            console.print(table)
    return capture.get()


def test_official_csvs(tmp_path):
    paths = write_csvs(scores_of(), tmp_path)
    assert [path.name for path in paths] == ["global_results-val.csv", "per-sequence_results-val.csv"]
    assert paths[0].read_bytes() == (
        b"J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay\n"
        b"0.468,0.360,0.125,0.229,0.575,0.250,0.250\n"
    )
    assert paths[1].read_bytes() == (
        b"Sequence,J-Mean,F-Mean\ndog_1,0.521,0.750\nparagliding-launch_1,0.200,0.400\n"
    )


def test_csvs_are_written_afresh(tmp_path):
    (tmp_path / "global_results-train.csv").write_text("old")
    path = write_csvs(scores_of(), tmp_path, "train")[0]
    with path.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "global_results-train.csv",
        "per-sequence_results-train.csv",
    ]


def test_json_keeps_every_digit(tmp_path):
    path = tmp_path / "deep" / "scores.json"
    write_json(scores_of(without_keyframes=True), path)
    content = json.loads(path.read_text())
    assert content == as_json(scores_of(without_keyframes=True))
    dog = content["all_frames"]["objects"]["dog_1"]
    assert dog["J"]["per_frame"] == [1.0, 0.5, 1 / 3, 0.25]
    assert dog["frames"] == ["00001", "00002", "00003", "00004"]
    assert content["all_frames"]["overall"]["J"]["mean"] == pytest.approx((25 / 48 + 0.2) / 2)
    assert list(content["without_keyframes"]["objects"]) == ["dog_1"]
    assert list(content["left_out_without_keyframes"]) == ["paragliding-launch"]


def test_the_rule_for_objects_is_told():
    scores = replace(scores_of(2017), rules=ScoringRules(2017, object_rule="from-first-appearance"))
    assert "each object after its first" in shown(scores)
    assert as_json(scores)["object_rule"] == "from-first-appearance"
    assert as_json(scores_of())["object_rule"] == "first-frame"


def test_json_without_keyframes_has_no_second_block():
    assert as_json(scores_of())["without_keyframes"] is None


@pytest.mark.parametrize(("year", "name"), [(2016, "dog "), (2017, "dog_1")])
def test_terminal_table_fits_80_columns_uncut(year, name):
    text = shown(scores_of(year))
    assert name in text
    assert "paragliding-launch" in text
    assert "…" not in text
    (total,) = (line.split() for line in text.splitlines() if line.startswith("mean"))
    assert total == ["mean", "5", "0.468", "0.360", "0.125", "0.229", "0.575", "0.250", "0.250"]
    assert "without a keyframe" not in text


def test_second_table_says_what_it_leaves_out():
    text = shown(scores_of(without_keyframes=True))
    second = text[text.index("without a keyframe") :]
    assert "dog" in second
    assert "paragliding-launch is left out: every scored frame was a keyframe" in " ".join(second.split())


T = ([0.5, np.nan, 0.25, 0.75], [0.125])


def test_t_has_a_column_and_the_mean_leaves_out_clips_with_occlusions():
    text = shown(scores_of(t=T))
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.split()}
    assert rows["dog"][-1] == "(0.500)"
    assert rows["paragliding-launch"][-1] == "0.125"
    assert rows["mean"][-1] == "0.125"
    assert "lower is more stable. In parentheses: left out of the mean" in " ".join(text.split())
    assert "…" not in text


def test_t_is_in_the_json_with_null_where_there_is_none(tmp_path):
    write_json(scores_of(t=T), tmp_path / "scores.json")
    block = json.loads((tmp_path / "scores.json").read_text())["all_frames"]
    assert block["overall"]["T"] == {"mean": 0.125}
    assert block["objects"]["dog_1"]["T"] == {
        "mean": 0.5,
        "in_overall": False,
        "per_frame": [0.5, None, 0.25, 0.75],
    }
    assert "T" not in as_json(scores_of())["all_frames"]["objects"]["dog_1"]


def test_t_of_a_clip_without_any_outline_is_a_dash_and_null():
    scores = scores_of(t=([np.nan] * 4, [np.nan]))
    assert [line.split()[-1] for line in shown(scores).splitlines() if line.startswith("mean")] == ["–"]
    assert as_json(scores)["all_frames"]["overall"]["T"] == {"mean": None}


def test_csvs_have_the_official_columns_with_t_too(tmp_path):
    with_t, without = (write_csvs(scores_of(t=t), tmp_path / str(bool(t[0]))) for t in (T, (None, None)))
    assert [path.read_bytes() for path in with_t] == [path.read_bytes() for path in without]
