"""The HTTP API as scripts see it: its description has every route, the document too, and the example runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_tiny_clip
from fastapi.routing import APIRoute
from starlette.testclient import TestClient
from tiny_page import BASE, POINTS, TOKEN, make_service, squares

from dextr_vos.errors import InputError
from dextr_vos.masks import read_labels
from dextr_vos.web.app import make_app
from dextr_vos.web.auth import check_token
from dextr_vos.web.project import ClipOpener, Project
from dextr_vos.web.project_app import make_project_app
from dextr_vos.web.service import Propagation

DOCUMENT = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text(encoding="utf-8")
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    """The application of a clip, and that of a project."""
    folder = tmp_path_factory.mktemp("apps")
    clip = write_tiny_clip(folder / "tiny")
    service = make_service(clip, folder / "w")
    project = Project({"tiny": clip}, folder / "p", ClipOpener(squares(), Propagation()))
    yield make_app(service, TOKEN), make_project_app(project, TOKEN)
    project.close()
    service.close()


def described(app, path="/openapi.json"):
    answer = TestClient(app, base_url=BASE, headers=BEARER).get(path)
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("which", [0, 1])
def test_every_route_is_described_with_what_it_takes_and_answers(apps, which):
    paths = described(apps[which])["paths"]
    routes = [one for one in apps[which].routes if isinstance(one, APIRoute) and one.path.startswith("/api/")]
    assert {one.path for one in routes} == paths.keys()
    for route in routes:
        for method in route.methods:
            operation = paths[route.path][method.lower()]
            assert operation["summary"].endswith("."), route.path
            assert operation["responses"]["200"]["content"], route.path
            assert "422" not in operation["responses"]
            assert "requestBody" in operation or not route.body_field


def test_the_description_says_how_to_authenticate_and_what_errors_look_like(apps):
    made = described(apps[0])
    assert made["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert made["paths"]["/api/objects"]["post"]["responses"]["400"]["content"]["application/json"][
        "schema"
    ] == {"$ref": "#/components/schemas/Error"}
    for operation in made["paths"].values():
        for each in operation.values():
            assert {"400", "403", "409", "413", "500"} <= each["responses"].keys()
    assert "points" in made["components"]["schemas"]["Points"]["properties"]
    answer = made["paths"]["/api/import"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/ImportAnswer"}
    warnings = made["components"]["schemas"]["ImportAnswer"]["properties"]["warnings"]
    assert (warnings["type"], warnings["items"]) == ("array", {"type": "string"})


@pytest.mark.parametrize(
    ("address", "body", "where"),
    [
        ("objects", {"active_ms": False}, "active_ms"),
        ("objects/1", {"visible": 0}, "visible"),
        ("objects/order", {"ids": ["1"]}, "ids.0"),
        ("frames/0/keyframe", {"keyframe": "no"}, "keyframe"),
        ("frames/0/lock", {"locked": 1}, "locked"),
        ("frames/0/objects/1/points", {"points": [["8", 20]]}, "points.0.0"),
        ("frames/0/objects/1/points", {"points": [[8]]}, "points.0.1"),
        ("frames/0/objects/1/stroke", {"path": [[8, True]], "radius": 3}, "path.0.1"),
        ("frames/0/objects/1/stroke", {"path": [[8, 9]], "radius": "3"}, "radius"),
        ("frames/0/objects/1/stroke", {"path": [[8, 9]], "radius": 3, "filled": 0}, "filled"),
        ("frames/0/objects/1/copy", {"to": "1"}, "to"),
        ("propagate", {"frames": ["0", 1]}, "frames.0"),
        ("export", {"format": "masks", "images": "yes"}, "images"),
    ],
)
def test_values_of_another_type_than_described_are_refused(apps, address, body, where):
    page = TestClient(apps[0], base_url=BASE, headers=BEARER)
    before = page.get("/api/state").json()
    answer = page.post(f"/api/{address}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{where}: "), answer.json()
    assert page.get("/api/state").json() == before


def test_what_is_accepted_in_place_of_another_type_is_described(apps):
    page = TestClient(apps[0], base_url=BASE, headers=BEARER)
    schemas = described(apps[0])["components"]["schemas"]
    number = page.post("/api/objects", json={"name": 7}).json()
    assert {one["id"]: one["name"] for one in page.get("/api/state").json()["objects"]}[number["id"]] == "7"
    assert schemas["NewObject"]["properties"]["name"]["anyOf"][0]["type"] == ["string", "integer"]
    assert page.post("/api/labels", json={"labels": None}).status_code == 200
    assert schemas["LabelSet"]["properties"]["labels"]["type"] == ["array", "null"]
    click = schemas["Points"]["properties"]["points"]["items"]
    assert (click["minItems"], click["maxItems"]) == (2, 3)
    assert "fill" in schemas["Reshape"]["properties"]["operation"]["enum"]


def test_the_document_names_every_route_and_no_other(apps):
    routes = {path for app in apps for path in described(app)["paths"]}
    named = {
        path
        for line in DOCUMENT.splitlines()
        if line.startswith("| ")
        for path in re.findall(r"`(/api/\S+)`", line)
    }
    assert named == routes


def test_each_clip_of_a_project_has_a_description_of_its_own(apps):
    made = described(apps[1], "/clips/tiny/openapi.json")
    assert made["servers"] == [{"url": "/clips/tiny"}]
    assert "/api/propagate" in made["paths"]


def test_a_script_needs_the_token_and_no_cookie(apps):
    stranger = TestClient(apps[0], base_url=BASE)
    for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        assert stranger.get("/openapi.json", headers=wrong).status_code == 403
        assert stranger.post("/api/objects", json={}, headers=wrong).status_code == 403
    assert stranger.get("/api/names", headers=BEARER).status_code == 200
    assert stranger.post("/api/objects", json={}, headers=BEARER).status_code == 200
    foreign = {**BEARER, "Origin": "http://elsewhere.example"}
    assert stranger.post("/api/objects", json={}, headers=foreign).status_code == 403


@pytest.mark.parametrize("token", ["", "short", "a" * 19, "a.b" * 10, "ä" * 20, "a b" * 10])
def test_a_token_that_is_short_or_no_part_of_an_address_is_refused(token):
    check_token("Ab3_-" * 4)
    with pytest.raises(InputError, match="DEXTR_VOS_TOKEN"):
        check_token(token)


@pytest.mark.slow
def test_the_example_of_the_document_runs(tiny_clip, tmp_path):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "DEXTR_VOS_TOKEN": "the-token-of-the-example"}
    command = ["annotate", str(tiny_clip), "-o", str(tmp_path / "w"), "--no-open", "--port", "0"]
    command += ["--model", "grabcut", "--max-steps", "2", "--device", "cpu"]
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    code, points = re.subn(r"\[\[151.*?\]\]", str(POINTS), code)
    with subprocess.Popen(
        [sys.executable, "-m", "dextr_vos", *command], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            address = next(line for line in server.stdout if "token=the-token-of-the-example" in line)
            code, ports = re.subn("127.0.0.1:8123", re.search(r"127\.0\.0\.1:\d+", address)[0], code)
            assert (points, ports) == (1, 1)
            script = [sys.executable, "-c", code]
            done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
        finally:
            server.terminate()
    assert done.stdout == "done in 2 steps\n", done.stderr
    masks = [read_labels(tmp_path / f"{index:05d}.png", (48, 64)) for index in range(6)]
    assert masks[0].any()
