"""A project: which folders are one, the progress of its clips, and a page for each."""

import shutil

import pytest
from conftest import write_tiny_clip
from starlette.testclient import TestClient
from tiny_page import BASE, POINTS, TINY, TOKEN, squares

from dextr_vos.annotation.label_set import Label, LabelSet, write_labels_file
from dextr_vos.errors import InputError
from dextr_vos.web.project import LABELS, ClipOpener, Project, clips_in
from dextr_vos.web.project_app import make_project_app


@pytest.fixture
def folder(tmp_path):
    """Two clips, and what is no clip."""
    folder = tmp_path / "clips"
    folder.mkdir()
    write_tiny_clip(folder / "dog 10")
    write_tiny_clip(folder / "dog 9")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("none of it is a clip")
    return folder


@pytest.fixture
def project(folder, tmp_path):
    project = Project(clips_in(folder), tmp_path / "work", ClipOpener(squares(), TINY))
    yield project
    project.close()


@pytest.fixture
def client(project):
    headers = {"X-Dextr-Vos-Token": TOKEN}
    return TestClient(make_project_app(project, TOKEN), base_url=BASE, headers=headers)


def test_a_project_is_a_folder_of_clips_and_no_clip_itself(folder):
    assert list(clips_in(folder)) == ["dog 9", "dog 10"]
    (folder / "dog 9.mp4").touch()
    assert list(clips_in(folder)) == ["dog 9", "dog 9.mp4", "dog 10"], "a name is that of one clip"
    shutil.copy(folder / "dog 9" / "00000.png", folder / "a.png")
    assert clips_in(folder) == {}


def test_each_clip_has_a_page_and_the_list_tells_its_progress(client, tmp_path):
    assert client.get("/clips/dog 9/").text == client.get("/clips/dog 10/").text
    first, second = ("/clips/dog 9/api", "/clips/dog 10/api")
    assert client.get(f"{first}/state").json()["project"] == {
        "place": 1,
        "clips": 2,
        "previous": None,
        "next": "dog 10",
    }
    client.post(f"{first}/objects", json={})
    client.post(f"{first}/frames/0/objects/1/points", json={"points": POINTS})
    assert client.get(f"{second}/state").json()["keyframes"] == {}
    listed = client.get("/api/project").json()
    assert listed["title"] == "clips"
    dog_9, dog_10 = listed["clips"]
    assert (dog_9["name"], dog_9["frames"], dog_9["keyframes"]) == ("dog 9", 6, 1)
    assert (dog_10["keyframes"], dog_10["masks"]) == (0, 0)
    assert client.get("/api/project/dog 9/thumb").headers["content-type"] == "image/jpeg"
    assert (tmp_path / "work" / "dog 9" / "keyframes" / "00000.png").exists()
    assert client.get("/clips/cat/api/state").status_code == 400


def test_nothing_is_given_without_the_token(project):
    stranger = TestClient(make_project_app(project, TOKEN), base_url=BASE)
    assert stranger.get("/").status_code == 403
    for path in ("/api/project", "/clips/dog 9/", "/clips/dog 9/api/state"):
        assert stranger.get(path).status_code == 403, path


def test_clips_share_a_label_set_until_one_has_its_own(client, tmp_path):
    write_labels_file(tmp_path / "work" / LABELS, LabelSet(labels=(Label(name="dog"),)))
    names = {"labels": [{"name": "tail"}]}
    client.post("/clips/dog 9/api/labels", json=names)
    labels = [client.get(f"/clips/{name}/api/state").json()["labels"] for name in ("dog 9", "dog 10")]
    assert [label["name"] for (label,) in labels] == ["tail", "dog"]


def test_an_error_in_the_label_set_of_one_clip_keeps_no_other_from_being_polled(project, tmp_path, caplog):
    project.service("dog 9")
    second = project.service("dog 10")
    (tmp_path / "work" / "dog 9" / "labels.yaml").write_text("labels: [")
    write_labels_file(tmp_path / "work" / "dog 10" / "labels.yaml", LabelSet(labels=(Label(name="tail"),)))
    project.poll()
    assert [label["name"] for label in second.state()["labels"]] == ["tail"]
    assert "labels.yaml" in caplog.text


def test_a_workspace_of_another_clip_is_refused_and_the_others_open(folder, project, tmp_path):
    project.service("dog 9")
    project.close()
    shutil.move(tmp_path / "work" / "dog 9", tmp_path / "work" / "dog 10")
    write_tiny_clip(folder / "cat")
    shutil.rmtree(folder / "dog 10")
    write_tiny_clip(folder / "dog 10")
    (folder / "dog 10" / "00005.png").unlink()
    again = Project(clips_in(folder), tmp_path / "work", ClipOpener(squares(), TINY))
    with pytest.raises(InputError, match="belongs to"):
        again.service("dog 10")
    assert again.service("cat").session.readonly is None
    again.close()
