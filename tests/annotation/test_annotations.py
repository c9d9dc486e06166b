from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from dextr_vos.annotation.annotations import ObjectEntry, annotations_from, load_annotations, save_annotations
from dextr_vos.errors import InputError

POINTS = np.array([[8, 20], [25, 22], [16, 14], [17, 33]])


def test_document_survives_the_file(tmp_path: Path) -> None:
    document = annotations_from({"a": {1: POINTS, 2: POINTS + 1}, "b": {}}, "simulated").made_by("grabcut")
    save_annotations(tmp_path / "a.json", document)
    assert load_annotations(tmp_path / "a.json") == document
    assert document.keyframes["a"].objects[2].engine == "grabcut"
    assert document.keyframes["a"].objects[2].points[0].time.endswith("Z")


def test_newer_clicks_join_and_others_stay() -> None:
    older = annotations_from({"a": {1: POINTS}, "b": {1: POINTS}}, "human")
    newer = annotations_from({"b": {2: POINTS + 1}, "c": {2: POINTS}}, "file")
    merged = older.merged_with(newer)
    assert list(merged.keyframes) == ["a", "b", "c"]
    assert merged.keyframes["a"] == older.keyframes["a"]
    assert merged.keyframes["b"].objects[1] == older.keyframes["b"].objects[1]
    assert merged.keyframes["b"].objects[2] == newer.keyframes["b"].objects[2]
    assert not older.merged_with(annotations_from({"b": {}}, "file")).keyframes["b"].objects
    assert [entry.id for entry in merged.objects] == [1, 2]


def test_names_are_not_lost_to_defaults() -> None:
    older = annotations_from({"a": {1: POINTS}}, "human")
    named = older.model_copy(update={"objects": (ObjectEntry(id=1, name="swan"),)})
    newer = annotations_from({"b": {1: POINTS, 2: POINTS}}, "file")
    assert [entry.name for entry in named.merged_with(newer).objects] == ["swan", "object 2"]
    assert [entry.name for entry in newer.merged_with(named).objects] == ["swan", "object 2"]


def test_a_document_cannot_be_changed() -> None:
    document = annotations_from({"a": {1: POINTS}}, "human")
    with pytest.raises(ValidationError):
        document.objects = ()  # type: ignore[misc]


def test_other_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InputError, match="is not an annotations file"):
        load_annotations(tmp_path / "a.json")
