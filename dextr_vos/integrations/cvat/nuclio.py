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
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError, field_validator

from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.images import ImageRgb, check_size, decode_rgb, image_errors, within_limit
from dextr_vos.integrations.cvat.shapes import prompt_of, segment, shape_points

log = logging.getLogger(__name__)

_JSON = "application/json"

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Point = tuple[_Number, _Number]


class _Request(BaseModel):
    """What CVAT sends; a box is two points, or four numbers."""

    image: str
    pos_points: list[_Point] | None = None
    neg_points: list[_Point] | None = None
    obj_bbox: tuple[_Number, _Number, _Number, _Number] | None = None

    @field_validator("obj_bbox", mode="before")
    @classmethod
    def _flat(cls, box: object) -> object:
        if not isinstance(box, list):
            return box
        return [number for part in box for number in (part if isinstance(part, list) else [part])] or None


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


def _answer(loaded: Any, body: object) -> dict[str, Any]:
    asked = _request(body)
    image_rgb = _image(asked.image)
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    box = asked.obj_bbox
    corners = None if box is None else (box[:2], box[2:])
    prompt = prompt_of(
        asked.pos_points or [], asked.neg_points or [], corners, size_hw, loaded.extreme_points
    )
    mask = segment(loaded.segmenter, image_rgb, prompt)
    points = np.reshape(shape_points("polygon", mask), (-1, 2)).tolist() if mask.any() else []
    return {"mask": mask.astype(np.uint8).tolist(), "points": points}


def _request(body: object) -> _Request:
    try:
        if isinstance(body, bytes | str):  # Nuclio parses only what has the content type of JSON
            return _Request.model_validate_json(body)
        return _Request.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        raise InputError(f"{where}: {first['msg']}") from None


def _image(encoded: str) -> ImageRgb:
    try:
        content = base64.b64decode(encoded, validate=True)
    except (BinasciiError, ValueError):
        raise InputError("the image of the request is not base64") from None
    path = Path("image")
    with image_errors(path), within_limit(BytesIO(content), "the image") as image:
        check_size((image.height, image.width), "the image")
        return decode_rgb(image, path)
