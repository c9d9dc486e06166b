"""Masks as polygons and back, in the two ways in which programs read them.

COCO and CVAT draw polygons along the edges of pixels: the pixel in row r and column c covers r to r + 1 and
c to c + 1. OpenCV, and with it YOLO's and LabelMe's readers, draw them through the centres of border pixels,
which belong to the mask. Each is exact when it is read the way in which it was made. A polygon has no holes:
a hole is joined to the outline by a cut of no width, through the mask, upwards from its topmost point.
"""

import warnings
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.geometry import BoolArray

_Point = tuple[int, int]
_Ring = list[_Point]
_FEWEST_CORNERS = 3

_FAR_OUTSIDE = 100  # times the longest side
# what a polygon with fewer corners is called among the annotations that are no masks
FEW_CORNERS = f"polygon of fewer than {_FEWEST_CORNERS} corners"


def edge_polygons(mask: BoolArray) -> list[_Ring]:
    """Polygons (x, y) along the edges of pixels, one for each part that is connected by edges.

    Args:
        mask: H×W bool.
    """
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    rings = _edge_rings(mask[y : y + height, x : x + width])
    return [[(px + x, py + y) for px, py in ring] for ring in _without_holes(rings)]


def centre_polygons(mask: BoolArray) -> list[_Ring]:
    """Polygons (x, y) through the centres of border pixels, as whole numbers, one for each connected part.

    Args:
        mask: H×W bool.
    """
    contours, hierarchy = cv2.findContours(
        np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    rings: list[tuple[_Ring, list[_Ring]]] = []
    places: dict[int, int] = {}
    points = [[(int(x), int(y)) for x, y in contour.reshape(-1, 2)] for contour in contours]
    parents = [] if hierarchy is None else hierarchy.reshape(-1, 4)[:, 3].tolist()
    for number, parent in enumerate(parents):
        if parent < 0:
            places[number] = len(rings)
            rings.append((points[number], []))
    for number, parent in enumerate(parents):
        if parent >= 0:
            rings[places[parent]][1].append(points[number])
    return _without_holes(rings)


def joined(polygons: Sequence[_Ring]) -> _Ring:
    """One polygon of several, joined by cuts of no width between their nearest corners."""
    whole = list(polygons[0])
    for polygon in polygons[1:]:
        one, two = np.array(whole), np.array(polygon)
        apart = ((one[:, None] - two[None]) ** 2).sum(axis=2)
        i, j = divmod(int(apart.argmin()), len(two))
        whole = [*whole[: i + 1], *polygon[j:], *polygon[: j + 1], *whole[i:]]
    return whole


def mask_of_edges(polygons: Sequence[Sequence[float]], size_hw: tuple[int, int]) -> BoolArray:
    """Mask of polygons along the edges of pixels, rasterised as COCO's tools do it.

    Args:
        polygons: each x, y, x, y, …; parts with fewer than three corners enclose nothing.
        size_hw: of the image.

    Raises:
        ValueError: a corner lies far outside or is no number, or the outlines are longer than those of any
            mask, so that COCO's tools would take all memory.
    """
    from pycocotools import mask as runs

    parts = [[float(value) for value in part] for part in polygons if has_corners(part)]
    if not parts:
        return np.zeros(size_hw, dtype=bool)
    length = 0.0
    for part in parts:
        corners = np.array(part[: len(part) // 2 * 2]).reshape(-1, 2)
        check_near(corners, size_hw)
        length += np.abs(np.diff(corners, axis=0, append=corners[:1])).max(axis=1).sum()
    # the edges of all pixels, and once around all that is near
    if length > 4 * size_hw[0] * size_hw[1] + 8 * _FAR_OUTSIDE * max(size_hw):
        raise ValueError("the outline of a polygon is longer than that of any mask of the image")
    packed = runs.merge(runs.frPyObjects(parts, *size_hw))
    with warnings.catch_warnings():
        # pycocotools 2.0.11 implements __array__ without the `copy` of numpy 2
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(runs.decode(packed), dtype=bool)


def has_corners(polygon: Sequence[object]) -> bool:
    """Whether a polygon x, y, x, y, … has as many corners as it takes to enclose something."""
    return len(polygon) >= 2 * _FEWEST_CORNERS


def mask_of_centres(polygons: Sequence[npt.NDArray[np.float64]], size_hw: tuple[int, int]) -> BoolArray:
    """Mask of polygons through the centres of border pixels, drawn by OpenCV.

    Args:
        polygons: each N×2, x and y; fractions are cut off.
        size_hw: of the image.

    Raises:
        ValueError: a corner lies so far outside that OpenCV would fill lines for minutes.
    """
    mask = np.zeros(size_hw, dtype=np.uint8)
    for polygon in polygons:
        check_near(polygon, size_hw)
        cv2.fillPoly(mask, [np.floor(polygon).astype(np.int32)], 1)
    return mask.view(bool)


def check_near(points: npt.NDArray[np.float64], size_hw: tuple[int, int]) -> None:
    """Refuse points that lie far outside an image.

    Args:
        points: N×2, x and y.
        size_hw: of the image.

    Raises:
        ValueError: one does, or is no number.
    """
    if not (np.abs(points) <= _FAR_OUTSIDE * max(size_hw)).all():  # nan, too
        raise ValueError("a point of a shape lies far outside the image, or is no number")


def mask_of_ellipse(
    centre_xy: tuple[float, float], radii_xy: tuple[float, float], degrees: float, size_hw: tuple[int, int]
) -> BoolArray:
    """Mask of an ellipse: the pixels whose centres lie in it, those of the first at 0.5, 0.5.

    Args:
        centre_xy: in pixels.
        radii_xy: half its width and height, before it is turned.
        degrees: by which it is turned, clockwise as rows go down.
        size_hw: of the image.

    Raises:
        ValueError: it reaches far outside, or a value is no number.
    """
    centre, radii = np.array(centre_xy, dtype=np.float64), np.array(radii_xy, dtype=np.float64)
    check_near(np.array([centre - radii, centre + radii]), size_hw)
    if not np.isfinite(degrees):
        raise ValueError(f"an ellipse is turned by {degrees} degrees, expected a number")
    if not radii.all():
        return np.zeros(size_hw, dtype=bool)
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    x, y = columns - centre[0], rows - centre[1]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    inside: BoolArray = (along * radii[1]) ** 2 + (across * radii[0]) ** 2 <= np.prod(radii) ** 2
    return inside


def _edge_rings(mask: BoolArray) -> list[tuple[_Ring, list[_Ring]]]:
    """The outlines of a mask with their holes, all corners along them, the mask to the right."""
    framed = np.pad(mask, 1).astype(np.int8)
    steps: dict[_Point, list[_Point]] = {}
    down = np.diff(framed, axis=0)[:, 1:-1]  # 1 where the mask begins below
    across = np.diff(framed, axis=1)[1:-1]  # 1 where it begins to the right
    for edges, begin, end in (
        (down == 1, (0, 0), (1, 0)),
        (down == -1, (1, 0), (0, 0)),
        (across == 1, (0, 1), (0, 0)),
        (across == -1, (0, 0), (0, 1)),
    ):
        for y, x in np.argwhere(edges).tolist():
            steps.setdefault((x + begin[0], y + begin[1]), []).append((x + end[0], y + end[1]))
    rings = []
    for start in sorted(steps, key=lambda point: (point[1], point[0])):
        while steps[start]:
            rings.append(_ring(steps, start))
    whole: list[tuple[_Ring, list[_Ring]]] = [(ring, []) for ring in rings if _area(ring) > 0]
    holes = [ring for ring in rings if _area(ring) < 0]
    inside = [_painted(ring, mask.shape) for ring, _ in whole] if holes else []
    sizes = [int(painted.sum()) for painted in inside]
    for hole in holes:
        x, y = hole[0]  # its topmost corner, the leftmost of these: the pixel above it is the mask's
        around = [place for place, painted in enumerate(inside) if painted[y - 1, x]]
        owner = min(around, key=sizes.__getitem__)  # the others have that part in a hole of theirs
        whole[owner][1].append(hole)
    return whole


def _ring(steps: dict[_Point, list[_Point]], start: _Point) -> _Ring:
    """One closed outline; where two meet in a corner, it turns right and so keeps its part apart."""
    ring, before, at = [start], start, steps[start].pop()
    while at != start:  # the topmost corner of an outline is never passed twice
        ring.append(at)
        after = (at[0] - (at[1] - before[1]), at[1] + (at[0] - before[0]))
        if after not in steps[at]:
            (after,) = steps[at]
        steps[at].remove(after)
        before, at = at, after
    return ring


def _painted(ring: _Ring, shape: tuple[int, ...]) -> BoolArray:
    """The pixels inside an outline, holes and all."""
    crossings = np.zeros(shape, dtype=np.int32)
    for (x, y), (x2, y2) in pairwise([*ring, ring[0]]):
        if x == x2 and x < shape[1]:
            crossings[min(y, y2), x] += 1
    inside: BoolArray = np.cumsum(crossings, axis=1) % 2 == 1
    return inside


def _area(ring: _Ring) -> int:
    """Twice the area, positive where the ring runs clockwise as rows go down."""
    return sum(x * y2 - x2 * y for (x, y), (x2, y2) in pairwise([*ring, ring[0]]))


def _without_holes(parts: Sequence[tuple[_Ring, list[_Ring]]]) -> list[_Ring]:
    """One ring a part: each hole is joined to what lies above its topmost point."""
    rings = []
    for ring, holes in parts:
        whole = list(ring)
        for hole in sorted((_from_top(hole) for hole in holes), key=lambda each: (each[0][1], each[0][0])):
            x, top = hole[0]
            places = {point: place for place, point in enumerate(whole)}
            above = next((y for y in range(top, -1, -1) if (x, y) in places), None)
            assert above is not None  # a hole lies in its part
            place = places[x, above]
            whole = [*whole[: place + 1], *hole, hole[0], *whole[place:]]
        rings.append(_corners(whole))
    return rings


def _from_top(ring: _Ring) -> _Ring:
    place = min(range(len(ring)), key=lambda at: (ring[at][1], ring[at][0]))
    return ring[place:] + ring[:place]


def _corners(ring: _Ring) -> _Ring:
    """The points of a ring at which it changes direction; a ring of few points is repeated to have three."""
    found: _Ring = []
    for before, at, after in zip([ring[-1], *ring[:-1]], ring, [*ring[1:], ring[0]], strict=True):
        one, two = (at[0] - before[0], at[1] - before[1]), (after[0] - at[0], after[1] - at[1])
        if one[0] * two[1] != one[1] * two[0] or one[0] * two[0] + one[1] * two[1] <= 0:
            found.append(at)
    found = found or ring[:1]
    return found if len(found) >= _FEWEST_CORNERS else (found * _FEWEST_CORNERS)[:_FEWEST_CORNERS]
