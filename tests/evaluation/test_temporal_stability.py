import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dextr_vos.evaluation.mask_polygons import longest_outline
from dextr_vos.evaluation.temporal_stability import SCALE, shape_contexts, temporal_instability
from dextr_vos.masks import read_labels

GOLDEN = Path(__file__).parent.parent / "golden" / "davis2016_stability.json"
EMPTY = np.zeros((120, 160), dtype=bool)


def t_of(earlier, later):
    return temporal_instability(shape_contexts(earlier), shape_contexts(later))


def wavy_disk(radius=34.0, wave=0.0, waves=6, shift=(0, 0)):
    """A disk whose radius grows and shrinks along the outline by a share `wave`."""
    rows, columns = np.mgrid[:120, :160] - np.array([60 + shift[0], 80 + shift[1]])[:, None, None]
    angle = np.arctan2(rows, columns)
    return np.hypot(rows, columns) < radius * (1 + wave * np.sin(waves * angle))


def bar(height, width):
    mask = EMPTY.copy()
    mask[20 : 20 + height, 20 : 20 + width] = True
    return mask


def histograms_of(points):
    """Shape contexts point by point: 12 sectors from the direction down, 5 rings by radius."""
    apart = [[math.dist(one, other) for other in points] for one in points]
    mean = sum(map(sum, apart)) / len(points) ** 2
    found = []
    for one, distances in zip(points, apart, strict=True):
        bins = [0] * 60
        for other, distance in zip(points, distances, strict=True):
            degrees = math.degrees(math.atan2(other[1] - one[1], other[0] - one[0])) + 1e-7
            ring = sum(distance >= mean * radius for radius in (1 / 8, 1 / 4, 1 / 2, 1, 2))
            if ring < 5:
                bins[12 * ring + int(degrees % 360 // 30)] += 1
        found.append([count / sum(bins) for count in bins])
    return found


def brute_t(earlier, later):
    """T by the definition, on polygons whose sides are whole multiples of 3 pixels."""
    one, other = (histograms_of(divided(longest_outline(mask).tolist())) for mask in (earlier, later))
    costs = {
        (i, j): sum((a - b) ** 2 / (a + b) for a, b in zip(first, second, strict=True) if a + b) / 2
        for i, first in enumerate(one)
        for j, second in enumerate(other)
    }
    size = len(one), len(other)
    path = warped(costs, size)
    start = min(path[1:], key=lambda pair: (costs[pair], -sum(pair)))
    turned = {
        (i, j): costs[(i + start[0] + 1) % size[0], (j + start[1] + 1) % size[1]]
        for i in range(size[0])
        for j in range(size[1])
    }
    pairs = [((i + start[0] + 1) % size[0], (j + start[1] + 1) % size[1]) for i, j in warped(turned, size)]
    for side in (0, 1):
        groups = {pair[side]: [other for other in pairs if other[side] == pair[side]] for pair in pairs}
        pairs = [min(group, key=costs.get) for group in groups.values()]
    return SCALE * sum(costs[pair] for pair in pairs) / len(pairs)


def divided(polygon):
    points = [polygon[0]]
    for begin, end in pairwise(polygon):
        parts = max(1, round(math.dist(begin, end)) // 3)
        for part in range(1, parts + 1):
            points.append([b + (e - b) * part / parts for b, e in zip(begin, end, strict=True)])
    return points


def warped(costs, size):
    """The cheapest path through the costs, from the first pair to the last."""
    best = {(0, 0): (0.0, None)}
    for i in range(size[0]):
        for j in range(size[1]):
            before = [p for p in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if p in best]
            if before:
                step = min(before, key=lambda p: round(best[p][0], 9))
                best[i, j] = (best[step][0] + costs[i, j], step)
    path, place = [], (size[0] - 1, size[1] - 1)
    while place is not None:
        path.insert(0, place)
        place = best[place][1]
    return path


@pytest.mark.parametrize(
    "mask", [wavy_disk(), wavy_disk(wave=0.3), bar(9, 60)], ids=["disk", "flower", "bar"]
)
def test_an_outline_that_stays_or_moves_has_t_zero(mask):
    assert t_of(mask, mask) == 0
    assert t_of(mask, np.roll(mask, (7, -5), (0, 1))) == 0


def test_a_size_that_changes_costs_little_for_distances_are_relative():
    grown, bent = t_of(wavy_disk(30), wavy_disk(40)), t_of(wavy_disk(30), wavy_disk(30, wave=0.3))
    assert 0 < grown < bent / 3


def test_an_outline_that_jitters_is_less_stable_than_a_smooth_one():
    smooth = [t_of(wavy_disk(34 + step), wavy_disk(35 + step)) for step in range(3)]
    waves = (5, 9, 7, 11)
    jitter = [t_of(wavy_disk(34, 0.1, a), wavy_disk(34, 0.1, b)) for a, b in pairwise(waves)]
    assert max(smooth) < min(jitter) / 3


def test_t_grows_with_the_change():
    values = [t_of(wavy_disk(), wavy_disk(wave=wave)) for wave in (0.05, 0.15, 0.3)]
    assert values == sorted(values)
    assert values[-1] < SCALE


def test_t_is_a_property_of_the_outline_with_the_most_vertices():
    speckled = wavy_disk()
    speckled[4:12, 4:12] = True
    assert t_of(wavy_disk(), speckled) == 0


@pytest.mark.parametrize(("earlier", "later"), [(EMPTY, wavy_disk()), (wavy_disk(), EMPTY), (EMPTY, EMPTY)])
def test_no_t_where_a_frame_has_no_outline(earlier, later):
    assert math.isnan(t_of(earlier, later))


def test_equal_points_around_have_equal_histograms():
    """A square of 3 pixels has its four corners as points, the first one twice."""
    histograms = shape_contexts(bar(3, 3)).histograms
    assert histograms.shape == (5, 60)
    assert histograms.sum(axis=1) == pytest.approx(1)
    assert (histograms[0] == histograms[-1]).all()
    # seen from the first corner: itself twice in the middle, then right, down right and down
    assert sorted(histograms[0][histograms[0] > 0].tolist()) == pytest.approx([0.2, 0.2, 0.2, 0.4])


@pytest.mark.parametrize(
    ("earlier", "later"),
    [(bar(3, 3), bar(3, 6)), (bar(9, 30), bar(12, 30)), (bar(6, 30), bar(30, 6)), (bar(15, 21), bar(15, 24))],
    ids=["tiny", "higher", "turned", "wider"],
)
def test_t_equals_brute_force(earlier, later):
    assert t_of(earlier, later) == pytest.approx(brute_t(earlier, later), abs=1e-9)


@pytest.mark.parametrize("clip", sorted(json.loads(GOLDEN.read_text())))
def test_golden_t_of_true_masks(clip, davis_root):
    """Rounding in the toolbox moves points on the border of a bin; where shapes differ, matches tip over."""
    folder = davis_root / "Annotations" / "480p" / clip
    if not folder.is_dir():
        pytest.skip(f"DAVIS_ROOT is set, but there is no {folder} to compare on")
    golden = np.array(json.loads(GOLDEN.read_text())[clip])[:12]
    described = [shape_contexts(read_labels(path) != 0) for path in sorted(folder.glob("*.png"))[:13]]
    values = np.array([temporal_instability(one, other) for one, other in pairwise(described)])
    assert values.mean() == pytest.approx(golden.mean(), rel=0.01)
    assert np.median(np.abs(values / golden - 1)) < 0.01
