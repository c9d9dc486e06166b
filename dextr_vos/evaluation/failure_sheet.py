"""The objects with the lowest IoU in one image: clicks, predicted and true outline."""

import heapq
from pathlib import Path

import cv2
import numpy as np

from dextr_vos.geometry import (
    BoolArray,
    Box,
    IntArray,
    box_around,
    box_size_hw,
    clip_box,
    crop,
    points_into_crop,
)
from dextr_vos.images import ImageRgb, write_image

WORST = 24
_COLUMNS = 4
_TILE_HW = (300, 400)
_CAPTION_PX = 22
_GAP_PX = 8
_BACKGROUND = 24
# The margin around an object: as a share of its box's longer side, and at least so many pixels.
_MARGIN, _MIN_MARGIN_PX = 0.25, 16
_TRUE_RGB, _PREDICTED_RGB, _CLICK_RGB = (60, 170, 255), (255, 150, 30), (255, 255, 255)


class FailureSheet:
    """Keeps the objects with the lowest IoU as small images; memory does not grow with their number."""

    def __init__(self) -> None:
        # the best of the worst lies on top; of equal ones the later leaves first
        self._heap: list[tuple[float, int, ImageRgb]] = []
        self._count = 0

    def add(
        self,
        iou: float,
        caption: str,
        image_rgb: ImageRgb,
        truth: BoolArray,
        mask: BoolArray,
        points_xy: IntArray,
    ) -> None:
        """Add an object; it is drawn only when it is among the worst so far.

        Args:
            iou: of its mask, in [0, 1].
            caption: its name.
            image_rgb: H×W×3 uint8.
            truth: H×W bool, the true mask.
            mask: H×W bool, the predicted one.
            points_xy: N×2 clicks.
        """
        self._count += 1
        key = (-iou, -self._count)
        if len(self._heap) == WORST and key < self._heap[0][:2]:
            return
        tile = _tile(f"{iou:.2f}  {caption}", image_rgb, truth, mask, points_xy)
        heapq.heappush(self._heap, (*key, tile))
        if len(self._heap) > WORST:
            heapq.heappop(self._heap)

    def write(self, path: Path) -> None:
        """Write the sheet, the worst object first; `.jpg` or `.png`.

        Raises:
            ValueError: no object was added.
        """
        if not self._heap:
            raise ValueError("expected at least one object to show, got none")
        tiles = [tile for *_, tile in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
        columns = min(len(tiles), _COLUMNS)
        rows = -(-len(tiles) // columns)
        height, width = tiles[0].shape[0] + _GAP_PX, tiles[0].shape[1] + _GAP_PX
        sheet_hw = (rows * height + _GAP_PX + _CAPTION_PX, columns * width + _GAP_PX)
        sheet = np.full((*sheet_hw, 3), _BACKGROUND, dtype=np.uint8)
        for place, tile in enumerate(tiles):
            top, left = _GAP_PX + place // columns * height, _GAP_PX + place % columns * width
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        left = _GAP_PX
        for word, colour in (("true", _TRUE_RGB), ("predicted", _PREDICTED_RGB), ("clicks", _CLICK_RGB)):
            left = _write(sheet, word, (left, sheet_hw[0] - _GAP_PX), colour) + 2 * _GAP_PX
        write_image(path, sheet)


def _tile(
    caption: str, image_rgb: ImageRgb, truth: BoolArray, mask: BoolArray, points_xy: IntArray
) -> ImageRgb:
    """The object's surroundings at the tile's size, with outlines and clicks, a caption above."""
    view = _view(truth | mask, points_xy)
    size_hw = box_size_hw(view)
    scale = min(have / wanted for have, wanted in zip(_TILE_HW, size_hw, strict=True))
    fitted_hw = tuple(max(1, round(side * scale)) for side in size_hw)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(crop(image_rgb, view), fitted_hw[::-1], interpolation=kind))
    for shape, colour in ((truth, _TRUE_RGB), (mask, _PREDICTED_RGB)):
        part = crop(shape.astype(np.uint8), view)
        small = cv2.resize(part, fitted_hw[::-1], interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(small, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, colour, 1, cv2.LINE_AA)
    for point in points_into_crop(points_xy, view, (fitted_hw[0], fitted_hw[1])).tolist():
        cv2.circle(image, point, 4, _CLICK_RGB, 1, cv2.LINE_AA)
    tile = np.full((_TILE_HW[0] + _CAPTION_PX, _TILE_HW[1], 3), _BACKGROUND, dtype=np.uint8)
    _write(tile, caption, (4, _CAPTION_PX - 7), _CLICK_RGB)
    top, left = _CAPTION_PX + (_TILE_HW[0] - fitted_hw[0]) // 2, (_TILE_HW[1] - fitted_hw[1]) // 2
    tile[top : top + fitted_hw[0], left : left + fitted_hw[1]] = image
    return tile


def _view(shown: BoolArray, points_xy: IntArray) -> Box:
    """The box of the masks and the clicks with a margin, within the image."""
    x, y, width, height = cv2.boundingRect(shown.view(np.uint8))
    corners = np.concatenate([points_xy, [(x, y), (x + width - 1, y + height - 1)]])
    margin = max(_MIN_MARGIN_PX, round(_MARGIN * max(box_size_hw(box_around(corners)))))
    return clip_box(box_around(corners, margin), (shown.shape[0], shown.shape[1]))


def _write(image: ImageRgb, text: str, origin: tuple[int, int], colour: tuple[int, int, int]) -> int:
    """Write a line of text; what OpenCV's font lacks becomes a question mark. The x where it ends."""
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(image, plain, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    return origin[0] + int(width)
