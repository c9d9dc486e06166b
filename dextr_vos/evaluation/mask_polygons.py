"""Outlines of masks as polygons, as the DAVIS 2016 toolbox makes them for temporal stability.

An outline runs between pixels, from corner to corner of them: the pixel in row r and column c has the corners
(r, c) to (r + 1, c + 1). Where two pixels of a mask touch at a corner only, two outlines meet. This is a
junction; there the outlines are cut into closed curves that pass no corner twice. Their vertices are then
reduced with the algorithm of Douglas and Peucker. Which vertices remain depends on where a curve starts and
on the order of the steps. Both are as in the toolbox of Perazzi et al. (CVPR 2016), so the polygons are the
same.
"""

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.geometry import BoolArray, IntArray

Values = npt.NDArray[np.float64]
# Tolerances of the reduction, in halves of a pixel: the toolbox works on a grid of twice the resolution.
_COLLINEAR, _TOLERANCE = 0.1, 3.0
_FEWEST_VERTICES = 4  # of a closed polygon, its first vertex counted twice

# Corners along a curve, as indices row · (width + 1) + column; a closed one ends where it starts.
_Curve = list[int]


def longest_outline(mask: BoolArray) -> Values | None:
    """The outline with the most vertices, an outer one or that of a hole.

    Args:
        mask: H×W bool.

    Returns:
        N×2 float64, rows and columns of its vertices in pixels, the first one again at the end. Outer
        outlines run clockwise, those of holes the other way. None where the mask is empty or holds only
        single pixels and the like, whose polygons have fewer than three different vertices.
    """
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    mask = mask[y : y + height, x : x + width]
    curves = _closed_curves(mask)
    longest, chosen = np.empty((0, 2), dtype=np.int64), 0
    for place in sorted(range(len(curves)), key=lambda each: -len(curves[each])):
        if len(curves[place]) < max(len(longest), _FEWEST_VERTICES):
            break  # a polygon has no more vertices than its curve
        rows, columns = np.divmod(np.array(curves[place], dtype=np.int64), width + 1)
        polygon = _reduced(np.stack([rows, columns], axis=1))
        if (len(polygon), -place) > (len(longest), -chosen):  # of equally long ones the first
            longest, chosen = polygon, place
    if len(longest) < _FEWEST_VERTICES:
        return None
    if _is_clockwise(longest) == _is_hole(mask, curves[chosen]):
        longest = longest[::-1]
    outline: Values = (longest + np.array([y, x])).astype(np.float64)
    return outline


def _closed_curves(mask: BoolArray) -> list[_Curve]:
    """The outlines of a mask as closed curves; none passes a corner twice."""
    width = mask.shape[1]
    framed = np.pad(mask, 1)
    row, column = np.nonzero(framed[1:-1, :-1] != framed[1:-1, 1:])  # between columns
    start = row * (width + 1) + column
    row, column = np.nonzero(framed[:-1, 1:-1] != framed[1:, 1:-1])  # between rows
    other = row * (width + 1) + column
    ends = np.concatenate([start, other]), np.concatenate([start + width + 1, other + 1])
    neighbours: dict[int, list[int]] = {}
    for one, two in zip(*(each.tolist() for each in ends), strict=True):
        neighbours.setdefault(one, []).append(two)
        neighbours.setdefault(two, []).append(one)
    junctions = sorted(corner for corner, near in neighbours.items() if len(near) == 4)
    pieces = _pieces(neighbours, junctions, width + 1)
    seen = {corner for piece in pieces for corner in piece}
    free = []
    for corner in sorted(neighbours):
        if corner not in seen:  # the topmost and then leftmost of an outline without junctions: go down
            free.append(_walk(neighbours, {corner}, corner, corner + width + 1))
            seen.update(free[-1])
    return free[::-1] + _joined(pieces, junctions)


def _walk(neighbours: dict[int, list[int]], ends: set[int], corner: int, step: int) -> _Curve:
    """The corners from one over a neighbour of it to the first that is an end."""
    curve = [corner, step]
    while step not in ends:
        one, two = neighbours[step]
        corner, step = step, two if one == corner else one
        curve.append(step)
    return curve


def _pieces(neighbours: dict[int, list[int]], junctions: list[int], row: int) -> list[_Curve]:
    """The parts of outlines from junction to junction, in the toolbox's order.

    Args:
        neighbours: of each corner of an outline, those next to it along outlines.
        junctions: corners with four of them, in the order of indices.
        row: what the index grows by from row to row.
    """
    ends, pieces = set(junctions), []
    walked: set[tuple[int, int]] = set()
    for junction in reversed(junctions):
        for direction in (-row, -1, row, 1):
            if (junction, junction + direction) not in walked:
                piece = _walk(neighbours, ends, junction, junction + direction)
                walked |= {(piece[0], piece[1]), (piece[-1], piece[-2])}
                pieces.append(piece)
    return pieces


def _joined(pieces: list[_Curve], junctions: list[int]) -> list[_Curve]:
    """Closed curves made of pieces; none goes straight on at a junction, or is at one twice."""
    left: dict[int, set[int]] = {junction: set() for junction in junctions}
    for index, piece in enumerate(pieces):
        left[piece[0]].add(index)
        left[piece[-1]].add(index)
    curves = []
    for first in reversed(junctions):
        while left[first]:
            path: list[_Curve] = []  # pieces that are no closed curve yet
            junction, index = first, min(left[first])
            while True:
                piece = pieces[index]
                left[piece[0]].discard(index)
                left[piece[-1]].discard(index)
                path.append(piece if piece[0] == junction else piece[::-1])
                junction = path[-1][-1]
                begins = [part[0] for part in path]
                if junction in begins:
                    loop = path[begins.index(junction) :]
                    del path[begins.index(junction) :]
                    curves.append([loop[0][0], *(corner for part in loop for corner in part[1:])])
                    if not path:
                        break
                index = _turn(pieces, sorted(left[junction]), path[-1], junction)
    return curves


def _turn(pieces: list[_Curve], choices: list[int], arrived: _Curve, junction: int) -> int:
    """The first of the pieces at a junction that does not go straight on."""
    piece = pieces[choices[0]]
    step = (piece[1] if piece[0] == junction else piece[-2]) - junction
    return choices[1] if step == junction - arrived[-2] else choices[0]


def _reduced(curve: IntArray) -> IntArray:
    """A closed curve with fewer vertices: K×2 corners, in and out."""
    curve = 2 * curve
    curve = curve[_douglas_peucker(curve, _COLLINEAR)]
    kept = [0]
    rows, columns = curve.T.tolist()
    for place in range(1, len(curve) - 1):
        apart = (rows[place] - rows[kept[-1]]) ** 2 + (columns[place] - columns[kept[-1]]) ** 2
        if apart >= _TOLERANCE**2:
            kept.append(place)
    curve = curve[[*kept, len(curve) - 1]]
    return curve[_douglas_peucker(curve, _TOLERANCE)] // 2


def _douglas_peucker(line: IntArray, tolerance: float) -> BoolArray:
    """Which vertices of a polyline the algorithm of Douglas and Peucker keeps; all spans of a level at once.

    Args:
        line: N×2 vertices; its ends are kept.
        tolerance: the distance from a span's chord above which its farthest vertex is kept.

    Returns:
        N bool.
    """
    keep = np.zeros(len(line), dtype=np.bool_)
    keep[[0, -1]] = True
    starts, ends = np.array([0]), np.array([len(line) - 1])
    while True:
        wide = ends - starts > 1
        starts, ends = starts[wide], ends[wide]
        if len(starts) == 0:
            return keep
        counts = ends - starts - 1
        firsts = np.cumsum(counts) - counts
        span = np.repeat(np.arange(len(starts)), counts)
        order = np.arange(len(span))
        inner = order + (starts + 1 - firsts)[span]
        apart = _squared_distances(line[inner], line[starts][span], line[ends][span])
        farthest = np.maximum.reduceat(apart, firsts)
        # of equally far vertices the last
        place = np.maximum.reduceat(np.where(apart == farthest[span], order, -1), firsts)
        split = farthest > tolerance**2
        middle = inner[place[split]]
        keep[middle] = True
        starts, ends = np.concatenate([starts[split], middle]), np.concatenate([middle, ends[split]])


def _squared_distances(points: IntArray, starts: IntArray, ends: IntArray) -> Values:
    """Squared distances of points from chords, one each, all K×2.

    The share of the chord at which the nearest point lies has single precision, as in the toolbox: among
    vertices at one distance, its rounding decides which is the farthest.
    """
    chord, offset = (ends - starts).astype(np.float64), (points - starts).astype(np.float64)
    length = np.float32((chord**2).sum(axis=1))
    along = np.float32((chord * offset).sum(axis=1))
    share = np.divide(along, length, out=np.zeros_like(along), where=length > 0).clip(0, 1)
    squared: Values = ((offset - share.astype(np.float64)[:, None] * chord) ** 2).sum(axis=1)
    return squared


def _is_clockwise(polygon: IntArray) -> bool:
    """Whether a polygon runs clockwise where rows go down and columns to the right."""
    rows, columns = polygon.T
    return bool(((np.roll(rows, -1) - rows) * (np.roll(columns, -1) + columns)).sum() > 0)


def _is_hole(mask: BoolArray, curve: _Curve) -> bool:
    """Whether a closed curve goes around background: its topmost and then leftmost pixel says."""
    return not mask[divmod(min(curve), mask.shape[1] + 1)]
