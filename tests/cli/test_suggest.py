import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_run import write_keyframes

from dextr_vos.cli.main import main
from dextr_vos.clip import open_clip
from dextr_vos.masks import write_labels
from dextr_vos.run_files import RunClip, RunRecord, RunTraining, write_confidence, write_record
from dextr_vos.workspace import Workspace


@pytest.fixture
def run(tmp_path):
    """What a run says of itself: 21 frames, the first and last are keyframes, about the 15th it doubts."""
    folder = tmp_path / "run"
    folder.mkdir()
    scores = {f"{index:05d}": {1: 0.9, 2: 0.95} for index in range(21)}
    scores |= {name: {1: 1.0, 2: 1.0} for name in ("00000", "00020")}
    scores |= {f"{index:05d}": {1: 0.99, 2: 0.1} for index in (14, 15, 16)}
    write_confidence(folder / "confidence.json", scores)
    (folder / "run.json").write_text(json.dumps({"keyframes": ["00000", "00020"]}))
    return folder


def suggest(*given):
    return CliRunner().invoke(main, ["suggest", *map(str, given)])


def test_it_names_the_frame_and_nothing_else_on_standard_output(run):
    result = suggest(run)
    assert (result.exit_code, result.stdout) == (0, "00015\n")
    assert "0.10" in result.stderr  # of the object that is trusted least


def test_the_reason_is_told(run):
    told = suggest(run, "--count", 2).stderr.splitlines()
    assert told[0] == "  lost: confidence 0.10"
    assert re.fullmatch(r"  confidence 0.90, \d+ frames away from an annotated one", told[1])
    (run / "run.json").write_text(json.dumps({"keyframes": ["00020"], "cuts": ["00018"]}))
    result = suggest(run)
    assert int(result.stdout) < 18
    assert result.stderr == "  lost: no frame of this shot is annotated\n"


def test_several_frames_come_one_a_line_the_most_useful_first(run):
    names = suggest(run, "--count", 3).stdout.splitlines()
    assert names[0] == "00015"
    assert len(set(names)) == 3
    assert not {"00000", "00020"} & set(names)


@pytest.mark.parametrize(
    ("annotated", "flashes", "count", "stdout", "last"),
    [
        (range(21), [], 2, "", "every frame is annotated; nothing to suggest"),
        (range(20), ["00020"], 2, "", "every frame is annotated or a flash; nothing to suggest"),
        (range(20), [], 2, "00020\n", "only 1 frame left to suggest, of 2 asked for"),
        (range(20), [], 1, "00020\n", "  confidence 1.00, 1 frame away from an annotated one"),
    ],
)
def test_fewer_frames_than_were_asked_for_are_told(run, annotated, flashes, count, stdout, last):
    record = {"keyframes": [f"{index:05d}" for index in annotated], "flashes": flashes}
    (run / "run.json").write_text(json.dumps(record))
    result = suggest(run, "--count", count)
    assert (result.exit_code, result.stdout, result.stderr.splitlines()[-1]) == (0, stdout, last)


def test_names_of_frames_are_those_of_the_clip(tmp_path):
    write_confidence(tmp_path / "confidence.json", {name: {1: 0.5} for name in ("b", "ü 1", "a")})
    (tmp_path / "run.json").write_text(json.dumps({"keyframes": ["b", "a"]}))
    assert suggest(tmp_path).stdout == "ü 1\n"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("confidence.json", None, r"there is no .*confidence.json; run propagate again"),
        ("confidence.json", "{", "confidence.json is damaged; run propagate again"),
        ("run.json", None, "run.json"),
        ("run.json", "{}", "run.json"),
        ("run.json", '{"keyframes": []}', "run.json|keyframes"),
        ("run.json", '{"keyframes": ["frame of another clip"]}', "run.json|keyframes"),
    ],
)
def test_a_run_that_is_not_whole_is_told_in_one_sentence(run, file, content, words):
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_text(content)
    result = suggest(run)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("dextr-vos: ")
    assert result.stderr.count("\n") == 1
    assert re.search(words, result.stderr)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    result = suggest(tmp_path / "nowhere")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("options", [["--count", "0"], ["--count", "x"], []])
def test_unknown_options_are_refused_by_click(run, options):
    given = [run, *options] if options else []
    assert suggest(*given).exit_code == 2


@pytest.fixture
def part(tmp_path):
    """A workspace whose run made masks of frames 00000 to 00004 of 21."""
    (tmp_path / "clip").mkdir()
    for index in range(21):
        Image.fromarray(np.full((48, 64, 3), index, np.uint8)).save(tmp_path / "clip" / f"{index:05d}.png")
    clip, workspace = open_clip(tmp_path / "clip"), Workspace(tmp_path / "work")
    workspace.write_settings(clip)
    write_keyframes(workspace.keyframes, 0)
    write_confidence(workspace.run.confidence, {f"{index:05d}": {1: 0.9} for index in range(5)})
    record = RunRecord(
        model="lite",
        clip=RunClip.of(clip),
        objects=(),
        keyframes=("00000",),
        longest_side=None,
        settings={},
        parent=None,
        seed=0,
        training=RunTraining(steps=1, stop="step limit", loss=0.1, seconds=1.0),
        fingerprint="",
    )
    write_record(workspace.run.record, record)
    return workspace


def test_places_are_counted_in_the_clip_though_a_run_has_masks_of_a_part_of_it(part):
    for path in (part.path, part.run.path):
        result = suggest(path)
        assert 10 <= int(result.stdout) <= 16
        assert re.fullmatch(r"  no mask yet, \d+ frames away from an annotated one\n", result.stderr)
    # where the clip is gone, the masks are all that is known
    (part.path.parent / "clip").rename(part.path.parent / "elsewhere")
    assert int(suggest(part.run.path).stdout) < 5


def test_drafts_count_as_annotated(part):
    first = suggest(part.path).stdout.strip()
    write_labels(part.correction(first), np.zeros((48, 64), np.uint8))
    assert abs(int(suggest(part.path).stdout) - int(first)) > 2


def test_flashes_are_not_suggested(run):
    record = {"keyframes": ["00000", "00020"], "flashes": ["00014", "00015", "00016"]}
    (run / "run.json").write_text(json.dumps(record))
    result = suggest(run)
    assert result.stdout.strip() not in record["flashes"]
    assert "lost" not in result.stderr
