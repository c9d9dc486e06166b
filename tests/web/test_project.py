"""A project: which folders are one, the progress of its clips, and a page for each."""

import asyncio
import gc
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import write_tiny_clip
from PIL import Image
from starlette.testclient import TestClient
from tiny_page import BASE, OTHER, POINTS, TINY, TOKEN, Page, squares, write_run

from dextr_vos.annotation.label_set import Label, LabelSet, write_labels_file
from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.folder_lock import FolderLock
from dextr_vos.project.clips import clips_in
from dextr_vos.run_files import write_confidence
from dextr_vos.web.clip_progress import ClipProgress
from dextr_vos.web.project import LABELS, ClipOpener, Project
from dextr_vos.web.project_app import make_project_app
from dextr_vos.workspace import Workspace


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
    project = Project(clips_in(folder, tmp_path / "work"), tmp_path / "work", ClipOpener(squares(), TINY))
    yield project
    project.close()


@pytest.fixture
def client(project):
    headers = {"X-Dextr-Vos-Token": TOKEN}
    return TestClient(make_project_app(project, TOKEN), base_url=BASE, headers=headers)


def test_a_project_is_a_folder_of_clips_and_no_clip_itself(folder, tmp_path):
    assert list(clips_in(folder, tmp_path / "work")) == ["dog 9", "dog 10"]
    (folder / "dog 9.mp4").touch()
    names = list(clips_in(folder, tmp_path / "work"))
    assert names == ["dog 9", "dog 9.mp4", "dog 10"], "a name is that of one clip"
    (folder / "dog 9.mp4").unlink()
    shutil.copy(folder / "dog 9" / "00000.png", folder / "a.png")
    assert clips_in(folder, tmp_path / "work") == {}


def test_a_clip_keeps_its_workspace_whatever_is_put_beside_it(folder, tmp_path):
    (folder / "cat.mp4").touch()
    Workspace(tmp_path / "work" / "cat").write_settings(open_clip(folder / "dog 9"))
    settings = tmp_path / "work" / "cat" / "workspace.yaml"
    others = settings.read_text().partition("\nframes:")[2]  # YAML may write a long path in two lines
    settings.write_text(f"clip: {folder / 'cat.mp4'}\nframes:{others}")
    (folder / "cat.mov").touch()
    (folder / "Cat.webm").touch()
    names = {path.name: name for name, path in clips_in(folder, tmp_path / "work").items()}
    assert names["cat.mp4"] == "cat"
    assert len({name.casefold() for name in names.values()}) == len(names) == 5
    moved = folder.rename(tmp_path / "moved")
    names = {path.name: name for name, path in clips_in(moved, tmp_path / "work").items()}
    assert names["cat.mp4"] == "cat", "moved together with the others"


def test_what_is_beside_clips_is_no_clip_and_hides_none(folder, tmp_path, monkeypatch):
    animation = folder / "bird"
    animation.mkdir()
    frames = [Image.new("L", (8, 8), grey) for grey in (0, 200)]
    frames[0].save(animation / "bird.gif", save_all=True, append_images=frames[1:])
    (folder / "lost+found").mkdir(mode=0)
    listed = Path.iterdir

    def refused(path):  # root may list any folder
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert list(clips_in(folder, tmp_path / "work")) == ["bird", "dog 9", "dog 10"]
    (folder / "film.mp4").touch()
    shutil.copy(folder / "dog 9" / "00000.png", folder / "poster.png")
    assert list(clips_in(folder, tmp_path / "work")) == ["bird", "dog 9", "dog 10", "film"]


def test_a_video_beside_frames_does_not_hide_them(folder, tmp_path):
    frames = folder / "dog 9"
    (frames / "source.mp4").touch()
    assert clips_in(frames, tmp_path / "work") == {}


def test_a_copy_of_a_workspace_does_not_take_its_place(folder, tmp_path):
    out = tmp_path / "work"
    Workspace(out / "dog 9").write_settings(open_clip(folder / "dog 9"))
    shutil.copytree(out / "dog 9", out / "Copy of dog 9")
    assert "Copy of dog 9" not in clips_in(folder, out)


def test_a_clip_whose_uploads_cannot_be_removed_is_let_go(client, project, monkeypatch):
    client.get("/clips/dog%209/api/state")
    service = project.service("dog 9")
    with monkeypatch.context() as patched:
        patched.setattr(service, "release", lambda: (_ for _ in ()).throw(OSError("no")))
        project.close()
    lock = FolderLock(project.out / "dog 9")
    assert lock.try_acquire()
    lock.release()


def test_a_clip_that_takes_long_to_open_keeps_no_other_waiting(client, project, folder, monkeypatch):
    held, asked = threading.Event(), threading.Event()
    opened = project._open

    def slow(name, path):
        if name == "dog 9":
            asked.set()
            assert held.wait(600)
        return opened(name, path)

    monkeypatch.setattr(project, "_open", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.get, "/clips/dog 9/api/state")
        assert asked.wait(600)
        try:
            assert client.get("/clips/dog 10/api/state").status_code == 200
        finally:
            held.set()
        assert first.result().status_code == 200


def test_a_clip_that_nobody_looks_at_is_closed_and_opens_again(client, project, tmp_path, monkeypatch):
    client.post("/clips/dog 9/api/objects", json={})
    first = project.service("dog 9")
    project.poll()
    assert project.service("dog 9") is first
    image = weakref.ref(first.session.images.read(0))
    monkeypatch.setattr("dextr_vos.web.project._SECONDS_IDLE", 0.0)

    async def look():
        stream = first.session.events.stream(lambda: 0)
        await anext(stream)
        project.poll()
        assert project.service("dog 9") is first, "a page shows it"
        await stream.aclose()

    with ThreadPoolExecutor(1) as pool:  # a browser of other tests may have a loop in this thread
        pool.submit(asyncio.run, look()).result()
    project.poll()
    gc.collect()
    assert image() is None, "nothing large stays in memory, even where somebody still has the service"
    with FolderLock(tmp_path / "work" / "dog 9"):
        assert "here it can only be viewed" in client.get("/clips/dog 9/api/state").json()["readonly"]
    project.poll()
    assert len(client.get("/clips/dog 9/api/state").json()["objects"]) == 1


def test_the_list_says_what_is_left_to_do(client, project, folder, tmp_path):
    workspace = Workspace(tmp_path / "work" / "dog 9")
    page = Page(project.service("dog 9"))
    page.do("/api/objects")
    page.points(0, 1, POINTS)
    write_run(page, workspace.path, keyframes=(0,))

    def listed():
        return client.get("/api/project").json()["clips"][0]

    progress = listed()
    assert (progress["masks"], progress["stale"], progress["lost"]) == (6, False, 0)
    assert progress["uncertain"] == 3
    page.points(0, 1, OTHER)
    assert listed()["stale"]


def test_a_deleted_object_is_neither_lost_nor_uncertain(client, project, tmp_path):
    page = Page(project.service("dog 9"))
    page.do("/api/objects")
    page.do("/api/objects")
    page.points(0, 1, POINTS)
    work = Workspace(tmp_path / "work" / "dog 9")
    write_run(page, work.path, keyframes=(0,))
    write_confidence(work.run.confidence, {f"{index:05d}": {1: 0.95, 2: 0.0} for index in range(6)})

    def lost():
        return client.get("/api/project").json()["clips"][0]["lost"]

    assert lost() == 6
    page.state()
    page.do("/api/objects/2/delete")
    assert lost() == 0
    whole = work.annotations.read_text()
    work.annotations.write_text("{")
    assert lost() == 6, "an unreadable document hides nothing"
    work.annotations.write_text(whole)
    assert lost() == 0
    shutil.copy(work.keyframe("00000"), work.keyframe("00003"))
    assert lost() == 6, "a keyframe that the page has yet to adopt may hold any object"


def test_a_video_that_was_opened_once_has_a_number_of_frames(folder, tmp_path):
    (folder / "film.mp4").touch()
    workspace = Workspace(tmp_path / "work" / "film")
    progress = ClipProgress(folder / "film.mp4", workspace)
    assert progress.read()["frames"] is None
    workspace.write_settings(open_clip(folder / "dog 9"))
    assert progress.read()["frames"] == 6


def test_thumbs_are_asked_for_again_and_sent_once(client):
    first = client.get("/api/project/dog 9/thumb")
    assert "no-cache" in first.headers["cache-control"]
    tag = {"if-none-match": first.headers["etag"]}
    assert client.get("/api/project/dog 9/thumb", headers=tag).status_code == 304


def test_a_clip_that_cannot_be_opened_is_a_page_for_people(client, folder):
    (folder / "dog 9" / "00003.png").write_bytes(b"no image")
    refused = client.get("/clips/dog 9/", headers={"accept": "text/html,*/*"})
    assert refused.status_code == 400
    assert "00003.png" in refused.text
    assert 'href="/"' in refused.text
    assert "00003.png" in client.get("/clips/dog 9/api/state").json()["error"]


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
    (folder / "dog 9" / "00005.png").unlink()
    write_tiny_clip(folder / "cat")
    again = Project(clips_in(folder, tmp_path / "work"), tmp_path / "work", ClipOpener(squares(), TINY))
    with pytest.raises(InputError, match="have changed since"):
        again.service("dog 9")
    assert again.service("cat").session.readonly is None
    again.close()
