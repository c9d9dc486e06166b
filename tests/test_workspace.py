import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_mask
from PIL import Image
from tiny_run import other_clip

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import looks_like_mask, read_labels, write_labels
from dextr_vos.workspace import ResultMasks, Workspace


@pytest.fixture
def workspace(tiny_clip: Path, tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "work")
    workspace.write_settings(open_clip(tiny_clip))
    return workspace


def write_masks(folder: Path, *indices: int, value: int = 1) -> None:
    for index in indices:
        write_labels(folder / f"{index:05d}.png", tiny_mask(index) * np.uint8(value))


def test_a_workspace_opens_its_clip(workspace: Workspace, tiny_clip: Path) -> None:
    clip = workspace.open_clip()
    assert clip.path == tiny_clip.resolve()
    workspace.check_clip(clip)


def test_a_workspace_follows_a_clip_that_is_given_again(workspace: Workspace, tiny_clip: Path) -> None:
    moved = tiny_clip.rename(tiny_clip.with_name("moved"))
    with pytest.raises(InputError, match=r"the clip .*tiny of the workspace .* is gone; move it back"):
        workspace.open_clip()
    clip = open_clip(moved)
    workspace.check_clip(clip)
    workspace.write_settings(clip)
    assert workspace.open_clip().path == moved.resolve()


def test_another_clip_is_refused(workspace: Workspace, tiny_clip: Path, tmp_path: Path) -> None:
    clip = open_clip(other_clip(tmp_path / "other"))
    with pytest.raises(InputError, match=r"belongs to .*tiny \(6 frames of 64×48\), not to .*other"):
        workspace.check_clip(clip)
    Workspace(tmp_path / "new").check_clip(clip)


def test_frames_that_have_changed_since_are_not_called_another_clip(
    workspace: Workspace, tiny_clip: Path
) -> None:
    (tiny_clip / "00005.png").rename(tiny_clip.parent / "removed.png")
    since = (
        r"frames of .*tiny have changed since the workspace .*work was made \(6 frames then, 5 now\); restore"
    )
    with pytest.raises(InputError, match=f"{since} them, or begin a new workspace$"):
        workspace.open_clip()
    workspace.annotations.write_text("{}")
    with pytest.raises(InputError, match=r"take the clicks over with --clicks .*work/annotations\.json$"):
        workspace.open_clip()
    (tiny_clip / "00000.png").rename(tiny_clip / "0.png")
    (tiny_clip.parent / "removed.png").rename(tiny_clip / "00005.png")
    with pytest.raises(InputError, match=r"\(other names, or another first frame\)"):
        workspace.open_clip()
    for file in tiny_clip.iterdir():
        with Image.open(file) as picture:
            picture.resize((60, 40)).save(file)
    with pytest.raises(InputError, match=r"\(64×48 pixels then, 60×40 now\)"):
        workspace.open_clip()


@pytest.mark.parametrize("content", ["", "{", "[]", "clip: x", "format: dextr-vos workspace\nversion: 2"])
def test_a_damaged_workspace_is_refused(workspace: Workspace, tiny_clip: Path, content: str) -> None:
    workspace.settings.write_text(content)
    with pytest.raises(InputError, match=r"workspace\.yaml is damaged or was written by another version"):
        workspace.check_clip(open_clip(tiny_clip))


def test_a_workspace_of_links_is_read_and_not_written(workspace: Workspace, tmp_path: Path) -> None:
    large_disk = tmp_path / "large disk"
    write_masks(large_disk / "masks", 0)
    workspace.run.path.symlink_to(large_disk)
    clip = workspace.open_clip()
    assert ResultMasks.find(workspace.path).read(clip, 0).any()
    with pytest.raises(InputError, match="propagation is a symbolic link"):
        workspace.check_links()


def test_a_folder_that_is_no_workspace_is_refused(tmp_path: Path, tiny_clip: Path) -> None:
    assert not Workspace(tmp_path).exists
    with pytest.raises(InputError, match="is not a workspace"):
        Workspace(tmp_path).open_clip()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; a workspace is a folder"):
        Workspace(tmp_path / "file").check_clip(open_clip(tiny_clip))


@pytest.mark.parametrize("file", ["00001.tif", "00001.PNG", "00001.png", "00001.Npy"])
def test_keyframes_become_indexed_pngs(workspace: Workspace, file: str) -> None:
    workspace.keyframes.mkdir()
    if file.endswith("Npy"):
        with (workspace.keyframes / file).open("wb") as array:
            np.save(array, tiny_mask(1))
    else:
        Image.fromarray(tiny_mask(1)).save(workspace.keyframes / file)
    assert workspace.keyframes_as_png(["00000", "00001"]) == {"00001"}
    assert [path.name for path in workspace.keyframes.iterdir()] == ["00001.png"]
    png = workspace.keyframe("00001")
    assert looks_like_mask(png)
    assert (read_labels(png) == tiny_mask(1)).all()
    before = png.stat()
    assert workspace.keyframes_as_png(["00001"]) == {"00001"}
    assert (png.stat().st_ino, png.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_keyframes_are_spelled_like_the_frames_of_the_clip(workspace: Workspace) -> None:
    composed = "bär"
    write_masks(workspace.keyframes, 3)
    (workspace.keyframes / "00003.png").rename(
        workspace.keyframes / f"{unicodedata.normalize('NFD', composed)}.png"
    )
    write_masks(workspace.keyframes, 4)
    assert workspace.keyframes_as_png([composed]) == {composed, "00004"}
    assert (read_labels(workspace.keyframe(composed)) == tiny_mask(3)).all()


def test_a_keyframe_stays_where_two_spellings_are_one_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In file systems that ignore case both names open the file, and deleting one deletes it."""
    workspace.keyframes.mkdir()
    Image.fromarray(tiny_mask(1)).save(workspace.keyframes / "00001.PNG")
    replace, unlink = Path.replace, Path.unlink

    def replace_both(source: Path, target: Path) -> Path:
        made = replace(source, target)
        unlink(target.with_suffix(".PNG"), missing_ok=True)
        target.with_suffix(".PNG").hardlink_to(target)
        return made

    def unlink_both(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.stem == "00001":
            unlink(path.with_suffix(".png"), missing_ok=True)

    monkeypatch.setattr(Path, "replace", replace_both)
    monkeypatch.setattr(Path, "unlink", unlink_both)
    workspace.keyframes_as_png(["00001"])
    assert (read_labels(workspace.keyframe("00001")) == tiny_mask(1)).all()


def test_masks_of_a_workspace_are_its_keyframes_and_then_its_run(workspace: Workspace) -> None:
    clip = workspace.open_clip()
    write_masks(workspace.run.masks, *range(5))
    write_masks(workspace.keyframes, 1, value=2)
    (workspace.keyframes / ".00002.x.png").touch()
    masks = ResultMasks.find(workspace.path)
    assert masks.keyframes == {"00001"}
    assert masks.find_mask("00001") == workspace.keyframe("00001")
    assert masks.find_mask("00002") == workspace.run.mask("00002")
    assert list(masks.files().items()) == [
        (name, workspace.keyframe(name) if name == "00001" else workspace.run.mask(name))
        for name in clip.names[:5]
    ]
    assert [masks.read(clip, index).max() for index in range(5)] == [1, 2, 1, 1, 1]
    with pytest.raises(InputError, match=r"work has no masks of 1 of 6 frames of .*tiny, first 00005\.png"):
        masks.require_all(clip)
    write_masks(workspace.keyframes, 5)
    ResultMasks.find(workspace.path).require_all(clip)


@pytest.mark.parametrize("inside", ["masks", "."])
def test_masks_are_found_in_runs_and_plain_folders(tmp_path: Path, tiny_clip: Path, inside: str) -> None:
    run, clip = tmp_path / "run", open_clip(tiny_clip)
    write_masks(run / inside, *range(6))
    assert ResultMasks.find(run).keyframes is None
    (run / "run.json").write_text(json.dumps({"keyframes": ["00001"]}))
    masks = ResultMasks.find(run)
    masks.require_all(clip)
    assert masks.keyframes == {"00001"}
    assert masks.object_names == {}
    assert np.array_equal(masks.read(clip, 3), tiny_mask(3))
    masks.mask_path("00003").unlink()
    with pytest.raises(InputError, match=r"there is no mask .*00003\.png"):
        masks.read(clip, 3)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null"])
def test_masks_of_a_damaged_run_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r'run\.json to hold "keyframes"'):
        ResultMasks.find(tmp_path)


def test_a_missing_folder_of_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*nowhere; give a workspace, a run, or"):
        ResultMasks.find(tmp_path / "nowhere")
