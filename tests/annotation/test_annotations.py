import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from dextr_vos.annotation.annotations import (
    BRUSH,
    FORMAT,
    PROPAGATION,
    KeyframeClicks,
    ObjectEntry,
    annotations_from,
    as_text,
    load_annotations,
    save_annotations,
)
from dextr_vos.annotation.prompts import Click, Prompt
from dextr_vos.errors import InputError

POINTS = np.array([[8, 20], [25, 22], [16, 14], [17, 33]])


def test_document_survives_the_file(tmp_path: Path) -> None:
    document = annotations_from({"a": {1: POINTS, 2: POINTS + 1}, "b": {}}, "simulated").with_model("grabcut")
    save_annotations(tmp_path / "a.json", document)
    assert load_annotations(tmp_path / "a.json") == document
    assert document.keyframes["a"].objects[2].made_by == "grabcut"
    assert document.keyframes["a"].objects[2].points[0].time.endswith("Z")


@pytest.mark.parametrize(("old", "new"), [("dextr", "paper"), ("lite", "lite"), (None, None)])
def test_a_document_of_version_1_opens(tmp_path: Path, old: str | None, new: str | None) -> None:
    document = annotations_from({"a": {1: POINTS}, "b": {}}, "human")
    content = json.loads(as_text(document)) | {"version": 1}
    clicked = content["keyframes"]["a"]["objects"]["1"]
    del clicked["made_by"]
    clicked["engine"] = old
    (tmp_path / "a.json").write_text(json.dumps(content))
    made_by = load_annotations(tmp_path / "a.json").keyframes["a"].objects[1].made_by
    assert made_by == new


@pytest.mark.parametrize("keyframes", [None, [], {"a": 1}, {"a": {"objects": {"1": 2}}}])
def test_a_damaged_document_of_version_1_is_refused(tmp_path: Path, keyframes: object) -> None:
    content = {"format": FORMAT, "version": 1, "objects": [], "keyframes": keyframes}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"a\.json, at keyframes"):
        load_annotations(tmp_path / "a.json")


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


@pytest.mark.parametrize(
    ("changes", "clicked"),
    [
        ({}, True),
        ({"made_by": None}, False),
        ({"painted": True}, False),
        ({"points": (), "made_by": PROPAGATION}, False),
        ({"points": (), "made_by": BRUSH}, False),
    ],
)
def test_only_masks_made_from_clicks_alone_count_as_clicked(changes: dict[str, Any], clicked: bool) -> None:
    document = annotations_from({"a": {1: POINTS}}, "human").with_model("lite")
    one = document.keyframes["a"].objects[1].model_copy(update=changes)
    keyframes = {"a": KeyframeClicks(objects={1: one})}
    assert document.model_copy(update={"keyframes": keyframes}).is_clicked("a", 1) == clicked
    assert not document.is_clicked("a", 2)
    assert not document.is_clicked("b", 1)


def test_points_keep_their_kinds_in_the_file(tmp_path: Path) -> None:
    known = Prompt(POINTS, (Click(3, 4, True), Click(5, 6, False)), box_xyxy=(1, 2, 30, 40))
    document = annotations_from({"a": {1: known, 2: POINTS}}, "file")
    path = tmp_path / "annotations.json"
    save_annotations(path, document)
    read = load_annotations(path)
    assert read == document
    again = read.keyframes["a"].objects[1].prompt()
    assert again.points_xy is not None
    assert (again.points_xy == POINTS).all()
    assert (again.clicks, again.box_xyxy) == (known.clicks, known.box_xyxy)
    # a point without a kind is an extreme one, as in older files
    assert path.read_text().count('"kind"') == 4
    assert read.keyframes["a"].objects[2].prompt().is_extremes
