"""CVAT's request to an interactor, answered by the handler."""

import base64
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

import dextr_vos.integrations.cvat
from dextr_vos.integrations.cvat import nuclio

pytestmark = pytest.mark.usefixtures("one_thread")
TRUTH = np.zeros((60, 100), bool)
TRUTH[15:45, 30:70] = True


@dataclass
class Response:
    body: str
    headers: dict
    content_type: str
    status_code: int


@dataclass
class Context:
    """Of Nuclio."""

    user_data: SimpleNamespace = field(default_factory=SimpleNamespace)
    logger: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(warn=lambda text: None))
    Response: type = Response


def image() -> str:
    pixels = np.full((*TRUTH.shape, 3), (30, 60, 40), np.uint8)
    pixels[TRUTH] = (210, 80, 60)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def answer(context, **body):
    """What CVAT gets for a request of its `lambda_manager`."""
    request = {"image": image(), "pos_points": [], "neg_points": [], "obj_bbox": None, **body}
    response = nuclio.handler(context, SimpleNamespace(body=request))
    assert response.content_type == "application/json"
    return response.status_code, json.loads(response.body)


def iou(mask):
    mask = np.array(mask) == 1
    return (mask & TRUTH).sum() / (mask | TRUTH).sum()


@pytest.fixture(scope="module")
def loaded():
    context = Context()
    nuclio.init_context(context)
    return context


@pytest.mark.parametrize(
    "body",
    [
        {"pos_points": [[50.2, 30.7]], "neg_points": [[5, 5]]},
        {"pos_points": [[50.2, 30.7]], "obj_bbox": [[30, 15], [70, 45]]},
        {"obj_bbox": [30.0, 15.0, 70.0, 45.0]},
    ],
)
def test_clicks_and_boxes_become_a_mask_and_a_polygon(loaded, body):
    status, content = answer(loaded, **body)
    assert status == 200
    assert np.shape(content["mask"]) == TRUTH.shape
    assert iou(content["mask"]) > 0.8
    points = np.array(content["points"])
    assert points.shape[1] == 2
    assert abs(points.min(0) - (30, 15)).max() <= 4
    assert abs(points.max(0) - (70, 45)).max() <= 4


def test_extreme_points_where_the_environment_says_so(monkeypatch):
    monkeypatch.setenv("DEXTR_VOS_EXTREME_POINTS", "1")
    monkeypatch.setenv("DEXTR_VOS_MODEL", "grabcut")
    context = Context()
    nuclio.init_context(context)
    extremes = [[30, 30], [69, 30], [50, 15], [50, 44]]
    status, content = answer(context, pos_points=extremes)
    assert status == 200
    assert iou(content["mask"]) > 0.95


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"pos_points": []}, "at least one positive click"),
        ({"image": "§"}, "is not base64"),
        ({"image": None}, "image: Input should be a valid string"),
        ({"obj_bbox": [1, 2, 3]}, "obj_bbox.3: Field required"),
        ({"pos_points": [["left", 2]]}, "pos_points.0.0: Input should be a valid number"),
        ({"pos_points": [[float("nan"), 2]]}, "pos_points.0.0: Input should be a finite number"),
        ({"neg_points": [[5]]}, "neg_points.0.1: Field required"),
        ({"image": base64.b64encode(b"no image").decode()}, "cannot read the image"),
    ],
)
def test_a_request_that_makes_no_mask_is_answered_with_one_sentence(loaded, body, sentence):
    status, content = answer(loaded, **body)
    assert status == 400
    assert sentence in content["error"]


@pytest.mark.parametrize("body", [b"\xff", b"[]", None])
def test_a_body_that_is_no_request_is_answered_with_one_sentence(loaded, body):
    response = nuclio.handler(loaded, SimpleNamespace(body=body))
    assert response.status_code == 400
    assert "the request" in json.loads(response.body)["error"]


def test_the_function_names_the_handler_and_is_an_interactor():
    path = Path(dextr_vos.integrations.cvat.__file__).with_name("function.yaml")
    function = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    assert function["spec"]["handler"] == f"{nuclio.__name__}:{nuclio.handler.__name__}"
    annotations = function["metadata"]["annotations"]
    assert (annotations["type"], annotations["min_pos_points"]) == ("interactor", 1)
