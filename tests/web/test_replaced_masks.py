"""The masks before a run, to compare with: kept once the run has replaced them, and only then."""

import numpy as np
import pytest
from conftest import tiny_mask

from dextr_vos.masks import read_labels, write_labels
from dextr_vos.run_files import RunPaths
from dextr_vos.web.replaced_masks import ReplacedMasks


@pytest.fixture
def run(tmp_path):
    run = RunPaths(tmp_path / "run")
    write_labels(run.mask("00000"), tiny_mask(0))
    return run


def test_a_finished_run_leaves_the_masks_that_it_has_replaced(run, tmp_path):
    kept = ReplacedMasks(run, tmp_path / "history" / "replaced")
    kept.begin()
    assert kept.stamp is None
    write_labels(run.mask("00000"), tiny_mask(3))
    kept.end(replaced=True)
    first = kept.stamp
    assert first is not None
    assert np.array_equal(read_labels(tmp_path / "history" / "replaced" / "00000.png"), tiny_mask(0))
    kept.begin()
    kept.end(replaced=True)
    assert kept.stamp != first
    assert np.array_equal(read_labels(tmp_path / "history" / "replaced" / "00000.png"), tiny_mask(3))


def test_a_cancelled_run_leaves_what_an_earlier_one_has_replaced(run, tmp_path):
    kept = ReplacedMasks(run, tmp_path / "history" / "replaced")
    kept.begin()
    kept.end(replaced=True)
    stamp = kept.stamp
    write_labels(run.mask("00000"), tiny_mask(3))
    kept.begin()
    kept.end(replaced=False)
    assert kept.stamp == stamp
    assert [path.name for path in (tmp_path / "history").iterdir()] == ["replaced"]


def test_the_first_run_replaces_nothing(tmp_path):
    run = RunPaths(tmp_path / "run")
    kept = ReplacedMasks(run, tmp_path / "history" / "replaced")
    kept.begin()
    write_labels(run.mask("00000"), tiny_mask(0))
    kept.end(replaced=True)
    assert kept.stamp is None
