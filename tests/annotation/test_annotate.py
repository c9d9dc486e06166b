import logging

import numpy as np
import pytest
from conftest import tiny_mask
from PIL import Image
from tiny_run import Squares, bytes_of, other_clip, train

from dextr_vos.annotation.annotate import annotate
from dextr_vos.annotation.annotations import (
    KeyframeClicks,
    ObjectClicks,
    annotations_from,
    load_annotations,
    save_annotations,
)
from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.workspace import Workspace

CORNERS = np.array([[8, 20], [25, 20], [16, 14], [16, 33]])


def test_annotate_fills_a_workspace_and_keeps_what_was_there(tiny_clip, tmp_path):
    clip, workspace = open_clip(tiny_clip), Workspace(tmp_path / "work")
    annotate(clip, annotations_from({"00000": {1: CORNERS}}, "file"), Squares(), workspace)
    assert np.array_equal(read_labels(workspace.keyframe("00000")), tiny_mask(0))
    told = []
    document = annotate(
        clip,
        annotations_from({"00003": {3: CORNERS}, "00002": {}}, "file"),
        Squares(),
        workspace,
        on_frame=lambda *frame: told.append(frame),
    )
    assert told == [(1, 2), (2, 2)]
    assert list(document.keyframes) == ["00000", "00002", "00003"]
    assert load_annotations(workspace.annotations) == document
    assert document.keyframes["00003"].objects[3].made_by == "squares"
    assert np.array_equal(read_labels(workspace.keyframe("00003")), 3 * tiny_mask(0))
    assert not read_labels(workspace.keyframe("00002")).any()
    with pytest.raises(InputError, match=r"the workspace .* belongs to .*tiny \(6 frames"):
        annotate(
            open_clip(other_clip(tmp_path / "other", 4)),
            annotations_from({"00000": {1: CORNERS}}, "file"),
            Squares(),
            workspace,
        )


def test_annotate_writes_nothing_before_every_mask_is_made(tiny_clip, tmp_path):
    clip = open_clip(tiny_clip)
    (tiny_clip / "00003.png").write_bytes(b"broken")
    clicks = annotations_from({"00000": {1: CORNERS}, "00003": {1: CORNERS}}, "file")
    with pytest.raises(InputError, match=r"00003\.png"):
        annotate(clip, clicks, Squares(), Workspace(tmp_path / "work"))
    assert not (tmp_path / "work").exists()


def test_a_workspace_of_another_clip_is_refused(tiny_clip, tmp_path):
    workspace = Workspace(tmp_path / "work")
    clicks = annotations_from({"00000": {1: CORNERS}}, "file")
    annotate(open_clip(tiny_clip), clicks, Squares(), workspace)
    with pytest.raises(InputError, match=r"the workspace .* belongs to"):
        train(other_clip(tmp_path / "other"), workspace.path, tmp_path / "run")


def test_objects_join_a_keyframe_one_by_one(tiny_clip, tmp_path):
    clip, workspace = open_clip(tiny_clip), Workspace(tmp_path / "work")
    annotate(clip, annotations_from({"00000": {1: CORNERS}}, "file"), Squares(), workspace)
    elsewhere = CORNERS // 3
    document = annotate(clip, annotations_from({"00000": {2: elsewhere}}, "file"), Squares(), workspace)
    assert set(document.keyframes["00000"].objects) == {1, 2}
    assert set(np.unique(read_labels(workspace.keyframe("00000")))) == {0, 1, 2}
    annotate(clip, annotations_from({"00000": {}, "00001": {1: CORNERS}}, "file"), Squares(), workspace)
    assert not read_labels(workspace.keyframe("00000")).any()


def test_clicks_on_a_corrected_frame_keep_the_correction(tiny_clip, tmp_path, caplog):
    clip, workspace = open_clip(tiny_clip), Workspace(tmp_path / "work")
    document = annotate(
        clip, annotations_from({"00000": {1: CORNERS, 2: CORNERS // 3}}, "file"), Squares(), workspace
    )
    corrected = np.zeros((48, 64), dtype=np.uint8)
    corrected[40:, :20] = 2
    write_labels(workspace.correction("00003"), corrected)
    draft = KeyframeClicks(objects={2: ObjectClicks(points=(), made_by="propagation", painted=True)})
    save_annotations(workspace.annotations, document.model_copy(update={"corrections": {"00003": draft}}))
    with caplog.at_level(logging.INFO):
        document = annotate(clip, annotations_from({"00003": {1: CORNERS}}, "file"), Squares(), workspace)
    assert not document.corrections
    assert document.keyframes["00003"].objects[2] == draft.objects[2]
    assert set(document.keyframes["00003"].objects) == {1, 2}
    labels = read_labels(workspace.keyframe("00003"))
    assert (labels[40:, :20] == 2).all()
    assert ((labels == 1) == tiny_mask(0)).all()
    assert "keyframes with their corrections now: 00003" in caplog.text


@pytest.mark.parametrize("clicks", [{1: CORNERS}, {}], ids=["clicked", "emptied"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_masks_that_were_not_made_from_clicks_are_not_replaced(tiny_clip, tmp_path, clicks, suffix):
    clip, workspace = open_clip(tiny_clip), Workspace(tmp_path / "work")
    workspace.keyframes.mkdir(parents=True)
    for name in ("00000", "00003"):
        Image.fromarray(tiny_mask(4)).save(workspace.keyframes / f"{name}.{suffix}")
    before = bytes_of(workspace.keyframes)
    given = annotations_from({"00000": clicks, "00003": clicks, "00004": {1: CORNERS}}, "file")
    with pytest.raises(InputError, match=r"clicks alone, in 2 frames: 00000, 00003; move these masks out of"):
        annotate(clip, given, Squares(), workspace)
    assert bytes_of(workspace.keyframes) == before
    assert not workspace.exists
    annotate(clip, annotations_from({"00000": {2: CORNERS}}, "file"), Squares(), workspace)
    labels = read_labels(workspace.keyframe("00000"))
    assert set(np.unique(labels)) == {0, 1, 2}, "an object beside the others is added"


def test_what_was_painted_over_clicks_is_not_replaced(tiny_clip, tmp_path):
    clip, workspace = open_clip(tiny_clip), Workspace(tmp_path / "work")
    given = annotations_from({"00000": {1: CORNERS}}, "file")
    document = annotate(clip, given, Squares(), workspace)
    clicked = document.keyframes["00000"].objects[1].model_copy(update={"painted": True})
    painted = {"00000": KeyframeClicks(objects={1: clicked})}
    save_annotations(workspace.annotations, document.model_copy(update={"keyframes": painted}))
    annotate(clip, given, Squares(), workspace)  # nothing is replaced by the same
    save_annotations(workspace.annotations, document.model_copy(update={"keyframes": painted}))
    write_labels(workspace.keyframe("00000"), tiny_mask(1))
    with pytest.raises(InputError, match="not made from clicks alone, in 1 frame: 00000;"):
        annotate(clip, given, Squares(), workspace)
    assert np.array_equal(read_labels(workspace.keyframe("00000")), tiny_mask(1))


def test_masks_that_a_killed_call_left_are_made_again(tiny_clip, tmp_path):
    clip, workspace = open_clip(tiny_clip), Workspace(tmp_path / "work")
    given = annotations_from({"00000": {1: CORNERS}}, "file")
    annotate(clip, given, Squares(), workspace)
    workspace.annotations.unlink()  # which is written last
    assert list(annotate(clip, given, Squares(), workspace).keyframes) == ["00000"]
