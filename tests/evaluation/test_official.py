"""Against the official package itself, where it is installed."""

import numpy as np
import pytest

from dextr_vos.benchmark.speed.scoring import scoring_masks
from dextr_vos.evaluation.davis import ScoringRules, evaluate_davis
from dextr_vos.evaluation.official import largest_difference, official_clip_scores, official_scores


@pytest.fixture
def scoring():
    pytest.importorskip("davis2017.metrics", reason="the official package is not installed")
    pytest.importorskip("skimage", reason="the official package needs scikit-image")
    with scoring_masks(None, None, (96, 128)) as made:
        yield made


def test_ours_are_the_official_scores(scoring):
    ours = evaluate_davis(scoring.davis, scoring.results, scoring.clips, ScoringRules(2017))
    theirs = official_scores(scoring.davis, scoring.results, ours.objects, 2017)
    assert largest_difference(ours.objects, theirs) <= 1e-6


def test_the_whole_official_way_gives_them_too(scoring):
    ours = evaluate_davis(scoring.davis, scoring.results, scoring.clips, ScoringRules(2017))
    theirs = official_clip_scores(scoring.davis, scoring.results, scoring.clips[0])
    assert [one.frames for one in theirs] == [one.frames for one in ours.objects]
    assert np.allclose(theirs[0].f, ours.objects[0].f, atol=1e-6)
