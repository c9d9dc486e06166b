"""An interactor for CVAT's Nuclio: `handler` answers CVAT's request with a mask and its outline.

`function.yaml` beside this file deploys it. CVAT sends an image as base64, positive and negative points and a
box; with DEXTR_VOS_EXTREME_POINTS=1 the positive points are extreme points.
"""

import base64
import json
import logging
import os
from binascii import Error as BinasciiError
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.images import ImageRgb, check_size, decode_rgb, image_errors, within_limit
from dextr_vos.integrations.cvat.shapes import Points, prompt_of, segment, shape_points

log = logging.getLogger(__name__)

_JSON = "application/json"


def init_context(context: Any) -> None:
    """Load the network, once a worker; Nuclio calls this."""
    context.user_data.segmenter = load_segmenter(
        os.environ.get("DEXTR_VOS_MODEL") or None,
        os.environ.get("DEXTR_VOS_WEIGHTS") or None,
        os.environ.get("DEXTR_VOS_DEVICE") or "auto",
    )
    context.user_data.extreme_points = os.environ.get("DEXTR_VOS_EXTREME_POINTS") == "1"


def handler(context: Any, event: Any) -> Any:
    """Answer one request of CVAT; Nuclio calls this.

    Args:
        context: of Nuclio, see `init_context`.
        event: whose body has image, pos_points, neg_points and obj_bbox.

    Returns:
        A response: the mask as rows of 0 and 1, and the polygon around its largest part; or status 400 and
        one sentence, `error`, where no mask can be made of that.
    """
    try:
        answer = _answer(context.user_data, event.body)
    except DextrVosError as error:
        context.logger.warn(str(error))
        return context.Response(
            body=json.dumps({"error": str(error)}), headers={}, content_type=_JSON, status_code=400
        )
    return context.Response(body=json.dumps(answer), headers={}, content_type=_JSON, status_code=200)


def _answer(loaded: Any, body: dict[str, Any]) -> dict[str, Any]:
    image_rgb = _image(body.get("image", ""))
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    prompt = prompt_of(
        body.get("pos_points") or [],
        body.get("neg_points") or [],
        _corners(body.get("obj_bbox")),
        size_hw,
        loaded.extreme_points,
    )
    mask = segment(loaded.segmenter, image_rgb, prompt)
    points = np.reshape(shape_points("polygon", mask), (-1, 2)).tolist() if mask.any() else []
    return {"mask": mask.astype(np.uint8).tolist(), "points": points}


def _corners(box: Any) -> Points | None:
    """A box as two points, from two points or four numbers."""
    if not box:
        return None
    x0, y0, x1, y1 = np.ravel(box).tolist()
    return [(x0, y0), (x1, y1)]


def _image(encoded: str) -> ImageRgb:
    try:
        content = base64.b64decode(encoded, validate=True)
    except (BinasciiError, ValueError):
        raise InputError("the image of the request is not base64") from None
    path = Path("image")
    with image_errors(path), within_limit(BytesIO(content), "the image") as image:
        check_size((image.height, image.width), "the image")
        return decode_rgb(image, path)
