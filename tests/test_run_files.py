import json
from pathlib import Path

import pytest

from dextr_vos.errors import InputError
from dextr_vos.run_files import (
    RunClip,
    RunObject,
    RunPaths,
    RunRecord,
    RunTraining,
    frame_state,
    keyframe_names,
    read_confidence,
    read_record,
    shot_names,
    write_confidence,
    write_record,
)

RECORD = RunRecord(
    model="paper",
    clip=RunClip(path="/clips/böar", frames=6, size_hw=(48, 64), identity="0" * 64),
    objects=(RunObject(id=1, name="boar"), RunObject(id=3, name="object 3")),
    keyframes=("00000", "00003"),
    longest_side=480,
    settings={"batch": 2},
    parent=None,
    seed=7,
    training=RunTraining(steps=8, stop="converged", loss=0.1, seconds=1.5, alpha=0.5, keyframe_iou={1: 0.9}),
    fingerprint="f" * 64,
    base_fingerprint="e" * 64,
    continued_from="d" * 64,
    min_component_share={1: 0.25},
)


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_a_record_comes_back(run: RunPaths) -> None:
    write_record(run.record, RECORD)
    assert read_record(run.record) == RECORD
    assert keyframe_names(run.record) == ["00000", "00003"]


def test_a_record_of_version_1_opens(run: RunPaths) -> None:
    old = RECORD.model_dump(mode="json")
    training = old.pop("training")
    training["kept"], training["stop"] = training.pop("alpha"), "settled"
    old |= {
        "version": 1,
        "network": "osvos",
        "basis": old.pop("base_fingerprint"),
        "went_on_from": old.pop("continued_from"),
        "smallest_part": old.pop("min_component_share"),
        "training": training,
    }
    del old["model"]
    run.path.mkdir()
    run.record.write_text(json.dumps(old))
    assert read_record(run.record) == RECORD


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"format": "dextr-vos run", "version": 3}', b'{"version": 1}'],
)
def test_a_damaged_record_is_refused(run: RunPaths, content: bytes) -> None:
    run.path.mkdir()
    run.record.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.json is damaged or was written by another version"):
        read_record(run.record)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keyframes": "00000"}', '{"keyframes": [0]}'])
def test_a_record_without_keyframes_is_refused(run: RunPaths, content: str) -> None:
    run.path.mkdir()
    run.record.write_text(content)
    with pytest.raises(InputError, match='to hold "keyframes"'):
        keyframe_names(run.record)


def test_confidence_comes_back(run: RunPaths) -> None:
    scores = {"00010": {1: 1.0}, 'a "b" ö': {1: 0.25, 254: 0.0}, "a\\b": {}, "00002": {3: 0.5}}
    write_confidence(run.confidence, scores)
    text = run.confidence.read_text(encoding="utf-8")
    assert len(text.splitlines()) == len(scores) + 2
    assert json.loads(text)["00002"] == {"3": 0.5}
    assert list(read_confidence(run.confidence).items()) == list(scores.items())


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"0": 1}', b'{"0": {"a": 1}}', b'{"0": {"1": "much"}}'),
        *(b"[" * 100_000, b'{"0": {"1": NaN}}', b'{"0": {"1": ' + b"9" * 5000 + b"}}", b'{"0": {}, "0": {}}'),
    ],
)
def test_damaged_confidence_is_refused(run: RunPaths, content: bytes) -> None:
    run.path.mkdir()
    run.confidence.write_bytes(content)
    with pytest.raises(InputError, match=r"confidence\.json is damaged; run propagate again"):
        read_confidence(run.confidence)


def test_missing_confidence_is_refused(run: RunPaths) -> None:
    with pytest.raises(InputError, match=r"there is no .*confidence\.json; run propagate again"):
        read_confidence(run.confidence)


def test_pending_runs_are_found_the_latest_last(run: RunPaths) -> None:
    assert run.all_pending() == []
    older, newer, without_masks = (run.pending(digest) for digest in ("b", "a", "c"))
    for pending in (older, newer):
        pending.masks.mkdir(parents=True)
    without_masks.path.mkdir()
    newer.mask("00000").touch()
    assert run.all_pending()[0] == without_masks
    assert {path.path for path in run.all_pending()} == {older.path, newer.path, without_masks.path}


@pytest.mark.parametrize(
    ("confidence", "state"),
    [
        (1.0, "confident"),
        (0.79, "confident"),
        (0.7899, "uncertain"),
        (0.3, "uncertain"),
        (0.2999, "lost"),
        (0.0, "lost"),
    ],
)
def test_confidence_in_words(confidence: float, state: str) -> None:
    assert frame_state(confidence) == state


@pytest.mark.parametrize(
    ("content", "cuts"),
    [
        ('{"cuts": ["00003", "ü"]}', ["00003", "ü"]),
        ('{"cuts": null}', []),
        ("{}", []),  # an older run
        ("[]", []),
        ("{", []),
        (None, []),
    ],
)
def test_cuts_are_read_where_there_are_any(run: RunPaths, content: str | None, cuts: list[str]) -> None:
    if content is not None:
        run.path.mkdir()
        run.record.write_text(content, encoding="utf-8")
    assert shot_names(run.record, "cuts") == cuts
