"""Extreme points to a soft mask without learned weights.

The core is GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004) as OpenCV has it; the input is extreme clicks
(Papadopoulos et al., ICCV 2017). Four clicks say much about the shape, and GrabCut alone forgets it after its
first step. So three cuts, which trust the shape to different degrees, are weighted by how well they look.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dextr_vos.geometry import (
    Box,
    FloatArray,
    IntArray,
    box_around,
    box_size_hw,
    clip_box,
    crop,
    paste,
    sort_extremes,
)

UInt8Array = npt.NDArray[np.uint8]
DoubleArray = npt.NDArray[np.float64]

# The box's longest side in working pixels: GrabCut's time grows faster than its pixels, its quality does not.
_LONGEST = 150
# The same where the finished cuts are compared: edges must still be sharp.
_FINE_LONGEST = 600
# Definite background around the box, in box sides: enough of the surroundings to know their colours.
_MARGIN = 0.8
# Exponents of the nested outlines: 1 is the quadrilateral of the clicks, 2 arcs of ellipses, 8 nearly a box.
_EXPONENTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 8.0)
# The single outline that overlaps most with real objects.
_START_EXPONENT = 1.25
# Objects have holes and concave sides: even the innermost outline is object in about four pixels of five.
_PRIOR_RANGE = (0.02, 0.82)
# Weight of the shape when it stands in for a colour channel (of 255 levels).
_CHANNEL_WEIGHT = 0.6
# Neighbouring pixels repeat one another, so that a pixel's own colour counts half, and never without bound.
_COLOUR_WEIGHT, _COLOUR_CLIP = 0.5, 8.0
# Log odds from which on a pixel is settled before the cut (about 4 : 1).
_SETTLED = 1.5
# Variance in grey levels² added to the colour models, for flat images.
_VARIANCE_FLOOR = 10.0
_ROUNDS = 3
_ITERATIONS = 5
# Weights of the four marks in `_quality`, and how fast a worse mark loses its vote.
_MARK_WEIGHTS = (1.0, 1.0, 0.3, 1.0)
_TEMPERATURE = 0.2
# A mask smaller than this part of the box is a failed cut.
_SMALLEST = 0.02


@dataclass(frozen=True)
class _Scene:
    """One object in working pixels: h×w images and the points in them."""

    lab: UInt8Array
    points_xy: IntArray
    inside: npt.NDArray[np.bool_]
    clicked: npt.NDArray[np.bool_]
    prior: DoubleArray


def grabcut(image_rgb: UInt8Array, points_xy: npt.ArrayLike) -> FloatArray:
    """Segment the object with the given extreme points.

    Args:
        image_rgb: H×W×3 uint8.
        points_xy: N×2 integers inside the image, N ≥ 4, in any order; the four extremes are found among
            them, the others are taken for places on the object.

    Returns:
        H×W float32 in [0, 1], zero outside the box of the points and above 0.5 for at least one pixel. The
        same input gives the same mask.
    """
    points = sort_extremes(points_xy)
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    box = box_around(points)
    margin = max(10, round(_MARGIN * max(box_size_hw(box))))
    around = clip_box(box_around(points, relax=margin), size_hw)
    view, moved = crop(image_rgb, around), points - np.array(around[:2])
    scene = _scene(view, moved, _LONGEST, smooth=True)
    fine = _scene(view, moved, _FINE_LONGEST, smooth=False)
    masks = [_plain_cut(scene), _shape_channel_cut(scene), _shape_odds_cut(scene)]
    marks = np.array([_quality(fine, _resized(mask, fine.inside.shape) > 0.5) for mask in masks])
    votes = np.exp((marks - marks.max()) / _TEMPERATURE)
    soft = np.tensordot(votes / votes.sum(), np.array(masks, dtype=np.float64), axes=1)
    return _paste_back(soft.astype(np.float32), points, box, around, size_hw)


def _paste_back(
    soft: FloatArray, points: IntArray, box: Box, around: Box, size_hw: tuple[int, int]
) -> FloatArray:
    """Working mask to the image's size, with the clicks set and the outline in place of a failed cut."""
    inner = crop(paste(_resized(soft, box_size_hw(around)), around, size_hw), box)
    if (inner > 0.5).mean() < _SMALLEST:
        inner = _filled(box_size_hw(box), points - np.array(box[:2]), _START_EXPONENT).astype(np.float32)
    prob: FloatArray = np.clip(paste(inner, box, size_hw), 0.0, 1.0)
    prob[points[:, 1], points[:, 0]] = 1.0
    return prob


def _resized(mask: npt.NDArray[np.generic], size_hw: tuple[int, int]) -> FloatArray:
    resized = cv2.resize(mask.astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32)


def _scene(image_rgb: UInt8Array, points: IntArray, longest: int, smooth: bool) -> _Scene:
    height, width = image_rgb.shape[:2]
    scale = min(1.0, longest / max(box_size_hw(box_around(points))))
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    small = cv2.resize(image_rgb, (w, h), interpolation=cv2.INTER_AREA)
    if smooth:  # texture finer than the object makes GrabCut cut along the texture
        small = cv2.bilateralFilter(small, 5, 20, 5)
    moved = np.floor((points + 0.5) * np.array([w / width, h / height])).astype(np.int64)
    x0, y0, x1, y1 = box_around(moved)
    inside = np.zeros((h, w), dtype=np.bool_)
    inside[y0 : y1 + 1, x0 : x1 + 1] = True
    clicked = np.zeros((h, w), dtype=np.uint8)
    for x, y in moved[4:]:
        cv2.circle(clicked, (int(x), int(y)), 2, 1, -1)
    depth = np.mean([_filled((h, w), moved, exponent) for exponent in _EXPONENTS], axis=0)
    low, high = _PRIOR_RANGE
    prior = low + (high - low) * cv2.GaussianBlur(depth, (0, 0), 3)
    lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), dtype=np.uint8)
    return _Scene(lab, moved, inside, (clicked > 0) & inside, prior)


def _filled(size_hw: tuple[int, int], points: IntArray, exponent: float) -> UInt8Array:
    """1 inside the closed curve through the four extremes, a superellipse's arc from each to the next."""
    left, right, top, bottom = points[:4].astype(np.float64)
    angle = np.linspace(0, np.pi / 2, 16)
    sideways, upright = np.cos(angle) ** (2 / exponent), np.sin(angle) ** (2 / exponent)
    arcs = []
    for side, end, backwards in (
        (left, top, False), (right, top, True), (right, bottom, False), (left, bottom, True)
    ):  # fmt: skip
        x = end[0] + sideways * (side[0] - end[0])
        y = side[1] + upright * (end[1] - side[1])
        arc = np.stack([x, y], axis=1)
        arcs.append(arc[::-1] if backwards else arc)
    mask = np.zeros(size_hw, dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(np.concatenate(arcs)).astype(np.int32)], 1)
    return mask


def _start(scene: _Scene) -> UInt8Array:
    """GrabCut's labels at the start: the outline probably object, the rest of the box probably not."""
    outline = _filled(scene.inside.shape, scene.points_xy, _START_EXPONENT) > 0
    labels = np.where(outline, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels = np.where(scene.inside, labels, cv2.GC_BGD)
    return np.where(scene.clicked, cv2.GC_FGD, labels).astype(np.uint8)


def _cut(
    image: UInt8Array, labels: UInt8Array, iterations: int
) -> tuple[UInt8Array, DoubleArray, DoubleArray]:
    """New labels and the colour models of background and object; unchanged labels if one is missing."""
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cut = labels.copy()
    if (labels & 1).any() and not (labels & 1).all():
        cv2.setRNGSeed(0)  # its k-means draws from OpenCV's global generator
        cv2.grabCut(image, cut, None, background, foreground, iterations, cv2.GC_INIT_WITH_MASK)
    return cut, background, foreground


def _plain_cut(scene: _Scene) -> npt.NDArray[np.bool_]:
    """Colour decides: GrabCut from the outline. Best for thin and concave objects of their own colour."""
    return (_cut(scene.lab, _start(scene), _ITERATIONS)[0] & 1) > 0


def _shape_channel_cut(scene: _Scene) -> npt.NDArray[np.bool_]:
    """Shape decides: two principal colours and, as third channel, the prior. Best on clutter."""
    colours = scene.lab.reshape(-1, 3).astype(np.float64)
    centred = colours - colours.mean(axis=0)
    _, _, axes = np.linalg.svd(centred.T @ centred)
    principal = (centred @ axes[:2].T).reshape(*scene.inside.shape, 2) + 128
    image = np.clip(np.dstack([principal, 255 * _CHANNEL_WEIGHT * scene.prior]), 0, 255).astype(np.uint8)
    return (_cut(image, _start(scene), _ITERATIONS)[0] & 1) > 0


def _shape_odds_cut(scene: _Scene) -> npt.NDArray[np.bool_]:
    """Both decide: odds of colour and shape settle the clear pixels, GrabCut cuts among the others."""
    labels = _start(scene)
    shape_odds = np.log(scene.prior / (1 - scene.prior))
    for _ in range(_ROUNDS):
        _, background, foreground = _cut(scene.lab, labels, 1)
        colour_odds = _log_density(foreground, scene.lab) - _log_density(background, scene.lab)
        odds = shape_odds + _COLOUR_WEIGHT * np.clip(colour_odds, -_COLOUR_CLIP, _COLOUR_CLIP)
        settled = np.where(odds > 0, cv2.GC_FGD, cv2.GC_BGD)
        unsettled = np.where(odds > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
        labels = np.where(np.abs(odds) > _SETTLED, settled, unsettled).astype(np.uint8)
        labels[~scene.inside] = cv2.GC_BGD
        labels[scene.clicked] = cv2.GC_FGD
    return (_cut(scene.lab, labels, 1)[0] & 1) > 0


def _log_density(model: DoubleArray, lab: UInt8Array) -> DoubleArray:
    """Log density of every pixel under OpenCV's mixture: 5 weights, 5 means, 5 covariances in a row."""
    weights, means, covariances = np.split(model.ravel(), [5, 20])
    density = np.full(lab.shape[:2], 1e-9)
    for weight, mean, covariance in zip(
        weights, means.reshape(5, 3), covariances.reshape(5, 3, 3), strict=True
    ):
        widened = covariance + _VARIANCE_FLOOR * np.eye(3)
        away = lab - mean
        distance = np.einsum("hwi,ij,hwj->hw", away, np.linalg.inv(widened), away)
        density += weight * np.exp(-0.5 * distance) / np.sqrt(np.linalg.det(widened))
    return np.asarray(np.log(density), dtype=np.float64)


def _quality(scene: _Scene, mask: npt.NDArray[np.bool_]) -> float:
    """How much a mask looks like an object that was clicked; compares masks of one scene only."""
    if not mask.any() or mask.all():
        return -10.0
    parts, _ = ndimage.label(mask)
    rows, columns = np.nonzero(parts == 1 + np.bincount(parts[mask])[1:].argmax())
    reach = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / scene.inside.sum()
    codes = (scene.lab.astype(np.int64) // 16) @ np.array([256, 16, 1])
    own, other = np.bincount(codes[mask], minlength=4096), np.bincount(codes[~mask], minlength=4096)
    apart = 1 - np.sqrt(own / own.sum() * (other / other.sum())).sum()
    smooth = cv2.GaussianBlur(scene.lab, (0, 0), 1)
    slopes = [cv2.Sobel(smooth, cv2.CV_64F, *direction) for direction in ((1, 0), (0, 1))]
    steepness = np.sqrt(np.square(slopes).sum(axis=(0, 3)))
    edge = mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    contrast = steepness[edge].mean() / (steepness[scene.inside].mean() + 1e-6)
    likely = np.log(np.where(mask, scene.prior, 1 - scene.prior))[scene.inside].mean()
    return float(np.dot(_MARK_WEIGHTS, (reach, apart, contrast, likely)))
