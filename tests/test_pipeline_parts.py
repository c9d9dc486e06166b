"""A part of a clip, or one direction: what is made, what stays, and what a later run of all of it makes."""

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_run import NAMES, TINY_LITE, bytes_of, refuse, stop_after, train, write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.masks import write_labels
from dextr_vos.pipeline import propagate
from dextr_vos.run_files import read_confidence, read_record

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")


def test_masks_of_a_range_are_made_and_a_later_run_makes_the_rest(tiny_clip, keyframes, out, tmp_path):
    record = train(tiny_clip, keyframes, out, frames=[1, 4])
    # keyframes are always there
    assert sorted(bytes_of(out / "masks")) == [NAMES[index] for index in (0, 1, 3, 4)]
    assert [(span.first, span.last) for span in record.spans] == [("00001", "00001"), ("00004", "00004")]
    assert sorted(read_confidence(out / "confidence.json")) == ["00000", "00001", "00003", "00004"]
    assert train(tiny_clip, keyframes, out, frames=[4, -5], on_step=refuse, on_frame=refuse) == record
    before = bytes_of(out / "masks")
    whole = train(tiny_clip, keyframes, out, on_step=refuse)
    assert [(span.first, span.last) for span in whole.spans] == [("00001", "00002"), ("00004", "00005")]
    after = bytes_of(out / "masks")
    assert {name: after[name] for name in before} == before
    train(tiny_clip, keyframes, tmp_path / "at once")
    assert after == bytes_of(tmp_path / "at once" / "masks")
    assert read_confidence(out / "confidence.json") == read_confidence(
        tmp_path / "at once" / "confidence.json"
    )


@pytest.mark.parametrize(
    ("direction", "made", "again"), [("forward", [2, 3, 5], [2, 3]), ("backward", [0, 2, 3], [2, 3])]
)
def test_in_one_direction_a_keyframe_counts_on_one_side_only(
    tiny_clip, tmp_path, out, direction, made, again
):
    keyframes = write_keyframes(tmp_path / "masks", 1, 4)
    record = train(tiny_clip, keyframes, out, direction=direction)
    assert sorted(bytes_of(out / "masks")) == sorted(NAMES[index] for index in (1, 4, *made))
    assert all((span.after if direction == "forward" else span.before) is None for span in record.spans)
    assert train(tiny_clip, keyframes, out, direction=direction, on_frame=refuse) == record
    segmented = []
    train(tiny_clip, keyframes, out, on_step=refuse, on_frame=lambda done, total: segmented.append(total))
    # two copies, two passes for each frame between the keyframes, and one for that which was left out
    assert segmented[-1] == 2 + 2 * 2 + 1
    train(tiny_clip, keyframes, tmp_path / "at once")
    assert bytes_of(out / "masks") == bytes_of(tmp_path / "at once" / "masks")


@pytest.mark.parametrize("change", ["keyframe", "settings", "network lost", "fresh"])
def test_masks_outside_a_range_stay_whatever_else_changes(tiny_clip, keyframes, out, change):
    train(tiny_clip, keyframes, out)
    marked = np.full((48, 64), 1, np.uint8)
    for index in (1, 2, 5):
        write_labels(out / "masks" / NAMES[index], marked)
    before, scores = bytes_of(out / "masks"), read_confidence(out / "confidence.json")
    if change == "keyframe":
        write_labels(keyframes / NAMES[3], tiny_mask(2))
    elif change == "network lost":
        (out / "network.safetensors").write_bytes(b"broken")
    options = {"settings": {"settings": ["tracking.mem_every=1"]}, "fresh": {"fresh": True}}.get(change, {})
    record = train(tiny_clip, keyframes, out, frames=range(2, 5), **options)
    after = bytes_of(out / "masks")
    assert sorted(after) == NAMES
    assert all(after[NAMES[index]] == before[NAMES[index]] for index in (1, 5))
    assert read_confidence(out / "confidence.json")["00005"] == scores["00005"]
    redone = change in ("keyframe", "settings")
    assert (after[NAMES[2]] != before[NAMES[2]]) == (redone or change == "network lost")
    # a run of all frames makes those again that are outdated
    train(tiny_clip, keyframes, out, **options)
    again = bytes_of(out / "masks")
    assert (again[NAMES[1]] != before[NAMES[1]]) == redone
    assert len(record.spans) == (4 if redone else 2)


@pytest.mark.parametrize("content", [None, "{", '{"00000": {"1": 1.0}, "00003": {"1": 1.0}}'])
def test_masks_outside_a_range_are_not_deleted_where_their_confidence_is_lost(
    tiny_clip, keyframes, out, content
):
    train(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    (out / "confidence.json").unlink()
    if content is not None:
        (out / "confidence.json").write_text(content)
    with pytest.raises(
        InputError, match=r"00001\.png is not asked for, but cannot be kept: .*confidence\.json"
    ):
        train(tiny_clip, keyframes, out, frames=[2], on_step=refuse, on_frame=refuse)
    assert bytes_of(out / "masks") == before
    train(tiny_clip, keyframes, out, on_step=refuse)  # of every frame they are made again
    assert bytes_of(out / "masks") == before


@pytest.mark.parametrize("stop_at", [3, 9, 11])
def test_a_range_that_was_stopped_resumes_and_may_become_another(tiny_clip, keyframes, tmp_path, stop_at):
    train(tiny_clip, keyframes, tmp_path / "whole", frames=range(2, 6))
    for name, options in (("same", {"frames": range(2, 6)}), ("all", {})):
        out = tmp_path / name
        with pytest.raises(Interrupted):
            train(tiny_clip, keyframes, out, stop_asked=stop_after(stop_at), **options)
        train(tiny_clip, keyframes, out, frames=range(2, 6))
        assert bytes_of(out / "masks") == bytes_of(tmp_path / "whole" / "masks")
        assert read_record(out / "run.json").spans == read_record(tmp_path / "whole" / "run.json").spans


@pytest.mark.parametrize("stop_at", [9, 10, 11])
def test_stopped_in_one_direction_it_ends_in_the_other_as_if_it_had_not_begun(tiny_clip, tmp_path, stop_at):
    keyframes = write_keyframes(tmp_path / "masks", 0, 5)
    train(tiny_clip, keyframes, tmp_path / "whole", direction="backward")
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, tmp_path / "run", direction="forward", stop_asked=stop_after(stop_at))
    train(tiny_clip, keyframes, tmp_path / "run", direction="backward")
    assert bytes_of(tmp_path / "run" / "masks") == bytes_of(tmp_path / "whole" / "masks")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frames": [6]}, "expected frames from 0 to 5, or from -6 to -1, got 6"),
        ({"frames": []}, "expected frames as a sequence of frame indices or None"),
        ({"frames": "1-2"}, "expected frames as a sequence of frame indices or None"),
        ({"direction": "back"}, "expected direction as both, forward or backward, got 'back'"),
    ],
)
def test_frames_and_directions_that_are_none_are_told(tiny_clip, keyframes, out, options, words):
    with pytest.raises(InputError, match=words):
        train(tiny_clip, keyframes, out, **options)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "indices"),
    [
        ({"frames": [1, 3]}, [1, 3]),
        ({"frames": np.array([-1])}, [5]),
        ({"direction": "forward"}, [1, 2, 3, 4, 5]),
        ({"direction": "backward"}, [0, 1, 2, 3]),
        ({"direction": "backward", "frames": range(1, 6)}, [1, 2, 3]),
    ],
)
def test_in_memory_only_the_frames_asked_for_come(tiny_clip, options, indices):
    clip = open_clip(tiny_clip)
    keyframes = {index: tiny_mask(index) for index in (1, 3)}
    made = list(propagate(clip, keyframes, model=TINY_LITE, parent="none", device="cpu", **options))
    assert [frame.index for frame in made] == indices
