"""Label Studio's requests, answered: a region of a smart tool becomes a brush mask."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from PIL import Image

from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.cli.main import main
from dextr_vos.export.formats.run_lengths import mask_of_label_studio
from dextr_vos.integrations.label_studio.app import Backend, backend_app
from dextr_vos.integrations.label_studio.task_images import TaskImages

pytestmark = pytest.mark.usefixtures("one_thread")
HEIGHT, WIDTH = 60, 100
CONFIGURATION = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="dog"/></BrushLabels>
<KeyPointLabels name="clicks" toName="image" smart="true"><Label value="dog"/></KeyPointLabels></View>"""
TRUTH = np.zeros((HEIGHT, WIDTH), bool)
TRUTH[15:45, 30:70] = True
EXTREMES = [(30.5, 50), (69.5, 50), (50, 25.1), (50, 74.9)]


@pytest.fixture
def images(tmp_path):
    pixels = np.full((HEIGHT, WIDTH, 3), (30, 60, 40), np.uint8)
    pixels[TRUTH] = (210, 80, 60)
    Image.fromarray(pixels).save(tmp_path / "0.png")
    return TaskImages(folder=tmp_path)


def request(*regions, config=CONFIGURATION, key="image"):
    """What Label Studio sends."""
    return {
        "tasks": [{"id": 7, "data": {key: "/data/local-files/?d=0.png"}}],
        "model_version": "any",
        "project": "1.1764286000",
        "label_config": config,
        "params": {"login": None, "password": None, "context": {"result": regions} if regions else None},
    }


def region(x, y, tag="clicks", label="dog", kind="keypointlabels"):
    return {
        "id": "t5sp3TyXPo",
        "type": kind,
        "from_name": tag,
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "is_positive": True,
        "value": {"x": x, "y": y, "width": 0.2, kind: [label]},
    }


def iou(result):
    mask = mask_of_label_studio(result["value"]["rle"], (HEIGHT, WIDTH))
    return (mask & TRUTH).sum() / (mask | TRUTH).sum()


def client(images, model="grabcut"):
    app = backend_app(Backend(load_segmenter(model, device="cpu"), images))
    return TestClient(app, "http://127.0.0.1:9090")


def test_label_studio_connects(images):
    backend = client(images)
    assert backend.get("/health").json()["status"] == "UP"
    asked = {"project": "1.2", "schema": CONFIGURATION, "hostname": "http://localhost:1", "access_token": "t"}
    assert backend.post("/setup", json=asked).json()["model_version"].startswith("dextr-vos-grabcut-")
    assert backend.post("/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 200
    assert backend.post("/predict", json=request()).json() == {"results": []}


def test_extreme_points_become_a_brush_mask_with_their_label(images):
    regions = [region(x, y, "extremes") for x, y in EXTREMES]
    backend = client(images)
    (waiting,) = backend.post("/predict", json=request(*regions[:3])).json()["results"]
    assert waiting["result"] == []
    (answer,) = backend.post("/predict", json=request(*regions)).json()["results"]
    (result,) = answer["result"]
    assert iou(result) > 0.95
    assert (result["type"], result["from_name"], result["to_name"]) == ("brushlabels", "brush", "image")
    assert (result["original_width"], result["original_height"]) == (WIDTH, HEIGHT)
    assert result["value"]["brushlabels"] == ["dog"]
    assert 0.5 < result["score"] <= 1
    assert result["id"]


def test_a_click_inside_the_object_is_enough_for_the_lite_model(images):
    (answer,) = client(images, "lite").post("/predict", json=request(region(50, 50))).json()["results"]
    assert iou(answer["result"][0]) > 0.8


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (request(region(50, 50), config="<View/>"), "has no BrushLabels"),
        (request(region(50, 50), key="text"), "no address of an image in its data 'image'"),
        (request(region(50, 50, label="cat")), "the label 'cat'"),
        (request(region(50, 50)), "the model grabcut takes extreme points"),
        (request(*[region(50, 50, "extremes")] * 4), "the points span a box of 1×1 px"),
        (request(region("left", 0)), "value.x: Input should be a valid number"),
        (request(region(1e308, 0)), "value.x: Input should be less than or equal to 1000"),
        (request(region(50, 50), config="\ud800"), "is not XML"),
        (request(region(50, 50, label="\ud800")), "the label '?'"),
        ({"tasks": 1}, "tasks: Input should be a valid list"),
    ],
)
def test_what_makes_no_mask_is_answered_with_one_sentence(images, asked, sentence):
    content = json.dumps(asked)  # with half a surrogate pair as JSON has it, too
    answer = client(images).post("/predict", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


def test_web_pages_are_refused(images, caplog):
    backend, asked = client(images), {"hostname": "http://localhost:1"}
    for headers in ({"origin": "http://127.0.0.1:9090"}, {"host": "rebound.example:9090"}):
        answer = backend.post("/setup", json=asked, headers=headers)
        assert (answer.status_code, "this backend" in answer.json()["error"]) == (403, True)
        assert answer.json()["error"] in caplog.text


def test_with_every_address_any_name_is_answered(images):
    app = backend_app(Backend(load_segmenter("grabcut"), images), "0.0.0.0")
    assert TestClient(app, "http://host.docker.internal:9090").get("/health").status_code == 200


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--url", "localhost:8080"], "expected --url as http://HOST:PORT"),
        (["--local-files", "no/such/folder"], "there is no folder no/such/folder"),
        (["--model", "grabcut", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1 port 9090"),
    ],
)
def test_the_command_refuses_what_it_cannot_use(options, sentence):
    result = CliRunner().invoke(main, ["label-studio", *options])
    assert (result.exit_code, sentence in result.output) == (2, True)


def test_a_token_without_the_address_it_is_for_is_refused():
    result = CliRunner().invoke(main, ["label-studio"], env={"LABEL_STUDIO_API_KEY": "secret"})
    assert result.exit_code == 2
    assert "give the --url" in result.output
