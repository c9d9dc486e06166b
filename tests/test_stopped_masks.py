"""A run that is stopped while it segments can leave the masks that it has made in place of older ones."""

import shutil

import pytest
from tiny_correction import FILES, change, files_of, paint, painted, same_results
from tiny_run import NAMES, bytes_of, finished_run, refuse, train

from dextr_vos.errors import Interrupted
from dextr_vos.run_files import read_confidence, read_record

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")


class StopAtFrame:
    """Callbacks that ask for a stop once so many frames are segmented."""

    def __init__(self, frames):
        self._left = frames

    def on_frame(self, done, total):
        self._left -= 1

    def stop_asked(self):
        return self._left <= 0

    def train(self, *arguments):
        with pytest.raises(Interrupted) as stopped:
            train(*arguments, on_frame=self.on_frame, stop_asked=self.stop_asked, keep_stopped=True)
        return str(stopped.value)


def test_masks_of_a_stopped_run_are_in_place_and_the_next_run_makes_the_others(
    tiny_clip, keyframes, tmp_path
):
    whole, out = tmp_path / "whole", tmp_path / "run"
    finished_run(tiny_clip, keyframes, whole)
    expected = bytes_of(whole / "masks")
    message = StopAtFrame(7).train(tiny_clip, keyframes, out)
    made = bytes_of(out / "masks")
    found = len(made) - len(bytes_of(keyframes))
    assert 0 < found < len(expected) - len(bytes_of(keyframes))
    assert message.startswith(f"stopped; {found} of ")
    assert made == {name: expected[name] for name in made}
    assert [f"{name}.png" for name in read_confidence(out / "confidence.json")] == sorted(made)
    train(tiny_clip, keyframes, out, on_step=refuse)
    assert same_results(out, whole)
    assert files_of(out) == FILES


def test_a_stopped_correction_replaces_the_masks_that_it_has_made_and_no_others(
    tiny_clip, keyframes, tmp_path
):
    out, whole = tmp_path / "run", tmp_path / "whole"
    finished_run(tiny_clip, keyframes, out)
    change(keyframes, 0)
    shutil.copytree(out, whole)
    train(tiny_clip, keyframes, whole)
    paint(out, 1, 2, 4, 5)
    old = bytes_of(out / "masks")
    StopAtFrame(4).train(tiny_clip, keyframes, out)
    masks, new = bytes_of(out / "masks"), bytes_of(whole / "masks")
    assert masks[NAMES[1]] == new[NAMES[1]]
    assert all(masks[NAMES[index]] == old[NAMES[index]] for index in (2, 4, 5))
    assert read_record(out / "run.json").fingerprint == read_record(whole / "run.json").fingerprint
    train(tiny_clip, keyframes, out, on_step=refuse)
    assert painted(out) == ([4, 5], [4, 5]), "which do not depend on keyframe 0"
    assert files_of(out) == FILES


def test_stopped_before_the_first_mask_everything_stays(tiny_clip, keyframes, tmp_path):
    out = tmp_path / "run"
    finished_run(tiny_clip, keyframes, out)
    change(keyframes, 0)
    old = bytes_of(out / "masks"), read_record(out / "run.json")
    assert "the same command continues" in StopAtFrame(0).train(tiny_clip, keyframes, out)
    assert (bytes_of(out / "masks"), read_record(out / "run.json")) == old
