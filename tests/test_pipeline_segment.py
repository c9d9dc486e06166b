from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_run import CPU, NAMES, TINY_LITE, TINY_PAPER, bytes_of, train, write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.propagation.trained_network import load_network, segment_clip

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")


@pytest.fixture
def keyframes(tmp_path):
    return write_keyframes(tmp_path / "keyframes", 0, 3, white=True)


def files_of(folder):
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_osvos_gives_what_the_run_gave(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out, TINY_PAPER)
    segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "applied", CPU)
    masks = bytes_of(out / "masks")
    applied = bytes_of(tmp_path / "applied")
    assert files_of(tmp_path / "applied") == NAMES
    assert all(applied[name] == masks[name] for name in set(NAMES) - {"00000.png", "00003.png"})


def test_lite_finds_the_object_by_its_memory(tiny_clip, keyframes, out, tmp_path):
    """No keyframe is given: neither where the object is in the first frame nor where it goes."""
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, batch=2, max_steps=40, cooldown=10))
    train(tiny_clip, keyframes, out, model)
    segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "applied", CPU)
    for index in range(6):
        found, truth = read_labels(tmp_path / "applied" / NAMES[index]) == 1, tiny_mask(index) == 1
        assert (found & truth).sum() / (found | truth).sum() > 0.5, index


def test_segment_keeps_the_object_ids(tiny_clip, out, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in (0, 3):
        labels = tiny_mask(index)
        labels[24:] *= 7
        write_labels(folder / NAMES[index], labels)
    train(tiny_clip, folder, out)
    segment_clip(open_clip(tiny_clip), load_network(out), tmp_path / "applied", CPU)
    assert set(np.unique([read_labels(tmp_path / "applied" / name) for name in NAMES])) <= {0, 1, 7}
