"""Temporal stability T of DAVIS 2016: how much the outline changes from frame to frame; lower is more stable.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (CVPR 2016):
each point of an outline is described by a shape context (Belongie et al., "Shape Matching and Object
Recognition Using Shape Contexts", PAMI 2002), the points of two consecutive outlines are matched by dynamic
time warping, and T is the mean cost of a matched pair. An object that moves or grows has a low T, one whose
outline jitters a high one. True masks are not compared with; their own T is not 0, since objects bend.

Numbers and steps are those of the toolbox that made the published results
(https://github.com/jponttuset/davis-matlab).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist

from dextr_vos.evaluation.mask_polygons import longest_outline
from dextr_vos.evaluation.metrics import Values
from dextr_vos.geometry import BoolArray

# The toolbox multiplies the mean cost, to bring it into the range of J and F.
SCALE = 5.0
_LONGEST_PX = 3.0  # of the pieces into which sides of the polygon are divided
_SECTORS = 12
# Radii of the rings, as shares of the mean distance between points.
_RADII = np.logspace(math.log10(1 / 8), math.log10(2), 5)
_BINS = _SECTORS * len(_RADII)
# Directions on the border of two sectors, as those along rows and columns are, belong to the sector after it,
# whatever their rounding.
_BORDER_RAD = 1e-9
_ROUNDING = 1e-12  # costs and their sums differ by no more where they are equal
_ROWS = 32  # of a matrix that are computed at a time, so that they stay in the processor's cache


@dataclass(frozen=True, eq=False)
class ShapeContexts:
    """The points of an outline, described.

    Attributes:
        histograms: N×60 float64; for each point the shares of the other points in 12 sectors of 5 rings.
    """

    histograms: Values


def shape_contexts(mask: BoolArray) -> ShapeContexts | None:
    """Describe the outline of a mask.

    Of several outlines, the one with the most vertices counts.

    Args:
        mask: H×W bool.

    Returns:
        The description; None where there is no outline: an empty mask, or one of single pixels.
    """
    outline = longest_outline(mask)
    if outline is None:
        return None
    points = _divided(outline)
    rows, columns = np.ascontiguousarray(points.T)
    counts = np.empty((len(points), _BINS))
    radii = _RADII * (2 * pdist(points).sum() / len(points) ** 2)  # of all pairs, each point with itself too
    for start in range(0, len(points), _ROWS):
        block = slice(start, start + _ROWS)
        counts[block] = _counts(rows - rows[block, None], columns - columns[block, None], radii)
    return ShapeContexts(counts / counts.sum(axis=1, keepdims=True))


def temporal_instability(earlier: ShapeContexts | None, later: ShapeContexts | None) -> float:
    """T of two consecutive frames.

    Args:
        earlier: the outline in one frame.
        later: in the next.

    Returns:
        0 for equal outlines, wherever they lie, and up to 5; NaN where one of the frames has no outline.
    """
    if earlier is None or later is None:
        return math.nan
    costs = _costs(earlier.histograms, later.histograms)
    # outlines start anywhere: the cheapest pair of a first matching is where a second one begins and ends
    path = _cheapest_path(costs)
    cheapest = path[int(np.argmin(costs[path[:-1, 0], path[:-1, 1]]))]
    turned = np.roll(costs, -(cheapest + 1), axis=(0, 1))
    pairs = (_cheapest_path(turned) + cheapest + 1) % costs.shape
    for side in (0, 1):  # of each point, the cheapest of its pairs
        order = np.lexsort((costs[pairs[:, 0], pairs[:, 1]], pairs[:, side]))
        pairs = pairs[order]
        pairs = pairs[np.append(True, np.diff(pairs[:, side]) != 0)]
    return SCALE * float(costs[pairs[:, 0], pairs[:, 1]].mean())


def _divided(polygon: Values) -> Values:
    """The vertices of a closed polygon and points between them, no two neighbours over 3 px apart: N×2."""
    sides = np.diff(polygon, axis=0)
    parts = np.maximum(np.ceil(np.hypot(*sides.T) / _LONGEST_PX), 1).astype(np.int64)
    side = np.repeat(np.arange(len(sides)), parts)
    share = (np.arange(len(side)) - (np.cumsum(parts) - parts)[side]) / parts[side]
    # the first vertex is there twice, as in the toolbox
    return np.concatenate([polygon[side] + share[:, None] * sides[side], polygon[-1:]])


def _counts(rows: Values, columns: Values, radii: Values) -> npt.NDArray[np.int64]:
    """How many points lie in each bin around some centres.

    Args:
        rows: K×N, how far each point is from each centre.
        columns: likewise.
        radii: of the rings, in pixels.

    Returns:
        K×60.
    """
    angle = np.arctan2(columns, rows) + _BORDER_RAD
    sector = np.floor(angle * (_SECTORS / (2 * math.pi))).astype(np.int64)
    sector[sector < 0] += _SECTORS
    distance = np.sqrt(rows**2 + columns**2)
    for radius in radii:
        sector[distance >= radius] += _SECTORS  # on to the next ring
    sector += np.arange(len(rows))[:, None] * _BINS
    within = distance < radii[-1]
    return np.bincount(sector[within], minlength=len(rows) * _BINS).reshape(-1, _BINS)


def _costs(one: Values, other: Values) -> Values:
    """Half the chi-squared distance of each pair of histograms: N×60 and M×60 to N×M.

    Each histogram adds up to 1, so half the sum of (a − b)² / (a + b) is 1 − twice the sum of 1 / (1/a +
    1/b).
    """
    with np.errstate(divide="ignore"):
        inverse, others = 1 / one, np.ascontiguousarray((1 / other).T)
    common = np.zeros((len(one), len(other)))
    scratch = np.empty((_ROWS, len(other)))
    for start in range(0, len(one), _ROWS):
        block = np.ascontiguousarray(inverse[start : start + _ROWS].T)
        out, part = common[start : start + _ROWS], scratch[: block.shape[1]]
        for place in np.flatnonzero(np.isfinite(block).any(axis=1)):
            np.add(block[place][:, None], others[place], out=part)
            np.divide(1, part, out=part)
            out += part
    costs: Values = 1 - 2 * common
    costs[costs < _ROUNDING] = 0
    return costs


def _cheapest_path(costs: Values) -> npt.NDArray[np.int64]:
    """The pairs that dynamic time warping matches, from the last to the first: K×2.

    Each step goes on by one in one outline or in both. Along a row of the matrix, the cheapest path to each
    place comes down somewhere before it and then goes right; so a running minimum finds them all at once.

    Args:
        costs: N×M; that of the first pair is not counted, for every path has it.
    """
    total = np.empty_like(costs)
    total[0] = np.cumsum(costs[0]) - costs[0, 0]
    for row in range(1, len(costs)):
        above, here = total[row - 1], total[row]
        right = np.cumsum(costs[row])
        here[0] = above[0]
        np.minimum(above[1:], above[:-1], out=here[1:])
        here[1:] -= right[:-1]
        np.minimum.accumulate(here, out=here)
        here += right
    return _back(total)


def _back(total: Values) -> npt.NDArray[np.int64]:
    """The path that leads to the last place, back to the first."""
    row, column = len(total) - 1, total.shape[1] - 1
    path = [(row, column)]
    while row or column:
        both = total[row - 1, column - 1] if row and column else math.inf
        up = total[row - 1, column] if row else math.inf
        left = total[row, column - 1] if column else math.inf
        if both <= min(up, left) + _ROUNDING:
            row, column = row - 1, column - 1
        elif up <= left:
            row -= 1
        else:
            column -= 1
        path.append((row, column))
    return np.array(path)
