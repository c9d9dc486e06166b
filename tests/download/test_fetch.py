import hashlib
import io
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from download.hostile_server import Answer, hostile_server

from dextr_vos.download.fetch import FetchOptions, fetch
from dextr_vos.download.registry import FILES, SETS, PublishedFile, published
from dextr_vos.errors import InputError, Interrupted


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = zipped({"DAVIS/ImageSets/2016/val.txt": b"dog\n"})
DAVIS = PublishedFile("DAVIS.zip", "https://invalid/", 1, "DAVIS-2016", "DAVIS")


def left(folder: Path) -> set[str]:
    """Files in a folder, without those of its lock."""
    files = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name for name in files if not name.endswith(".lock")}


def test_a_data_set_is_unpacked_in_its_place_once(tmp_path: Path) -> None:
    with hostile_server([Answer(ARCHIVE)]) as server:
        options = FetchOptions(server.address)
        assert fetch(DAVIS, tmp_path, options) == (tmp_path / "DAVIS-2016", False)
        assert left(tmp_path) == {"DAVIS-2016/ImageSets/2016/val.txt"}
        assert fetch(DAVIS, tmp_path, options) == (tmp_path / "DAVIS-2016", True)
        assert len(server.ranges) == 1


def test_an_archive_that_was_stopped_is_not_downloaded_again(tmp_path: Path) -> None:
    titles: list[str] = []
    two = zipped({"DAVIS/a": b"a", "DAVIS/b": b"b"})
    with hostile_server([Answer(two)]) as server:
        options = FetchOptions(
            server.address,
            on_bytes=lambda title, done, total: titles.append(title),
            stop_asked=lambda: "unpacking DAVIS.zip" in titles,
        )
        with pytest.raises(Interrupted):
            fetch(DAVIS, tmp_path, options)
        assert left(tmp_path) == {".downloads/DAVIS.zip"}
        fetch(DAVIS, tmp_path, FetchOptions(server.address))
        assert len(server.ranges) == 1
    assert left(tmp_path) == {"DAVIS-2016/a", "DAVIS-2016/b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARCHIVE[:-30], "cut short or broken"),  # the server announces the shorter length, too
        (zipped({"DAVIS/a": b"", "DAVIS/./a": b""}), "holds 'DAVIS/./a' twice"),
        (zipped({"DAVIS/a": b"", "DAVIS/a/b": b""}), "cut short or broken"),
        (zipped({f"DAVIS/{'n' * 300}": b""}), "cut short or broken"),
        (zipped({"DAVIS/../../evil": b""}), "lead out of its folder"),
        (zipped({"other": b""}), "holds other; expected DAVIS"),
    ],
    # archives hold the time at which they are made
    ids=["cut", "twice", "file and folder", "long name", "outside", "another"],
)
def test_a_bad_archive_is_removed_whole(content: bytes, message: str, tmp_path: Path) -> None:
    with hostile_server([Answer(content)]) as server, pytest.raises(InputError, match=message):
        fetch(DAVIS, tmp_path / "data", FetchOptions(server.address))
    assert left(tmp_path) == set()


def test_a_checkpoint_that_cannot_be_read_is_absent(tmp_path: Path) -> None:
    def check(path: Path) -> None:
        raise InputError(f"{path.name} is no checkpoint")

    file = FILES["dextr_coco.pth"]
    with hostile_server([Answer(b"\x80\x02 rubbish")]) as server:
        with pytest.raises(InputError, match="is no checkpoint"):
            fetch(file, tmp_path, FetchOptions(server.address, check))
        assert left(tmp_path) == set()
        final, _ = fetch(file, tmp_path, FetchOptions(server.address))
    assert final.read_bytes() == b"\x80\x02 rubbish"
    assert left(tmp_path) == {"weights/dextr_coco.pth"}


def test_a_checkpoint_in_an_archive_is_checked(tmp_path: Path) -> None:
    def check(path: Path) -> None:
        raise InputError(f"{path.read_bytes()!r} is no checkpoint")

    content = zipped({"parent_epoch-239.pth": b"rubbish"})
    with hostile_server([Answer(content)]) as server, pytest.raises(InputError, match="'rubbish' is no"):
        fetch(FILES["pth_parent_model.zip"], tmp_path, FetchOptions(server.address, check))
    assert left(tmp_path) == set()


def test_a_folder_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other disk")
    with tempfile.TemporaryDirectory(dir=memory) as other, hostile_server([Answer(b"\x80")]) as server:
        (tmp_path / "weights").symlink_to(other)
        final, _ = fetch(FILES["dextr_coco.pth"], tmp_path, FetchOptions(server.address))
        assert final.read_bytes() == b"\x80"


def test_a_checksum_is_compared(tmp_path: Path) -> None:
    right = replace(DAVIS, checksum=f"md5:{hashlib.md5(ARCHIVE).hexdigest()}")
    with hostile_server([Answer(ARCHIVE)]) as server:
        with pytest.raises(InputError, match="has the md5"):
            fetch(replace(right, checksum="md5:0"), tmp_path, FetchOptions(server.address))
        fetch(right, tmp_path, FetchOptions(server.address))


@pytest.mark.parametrize(
    "mirror", ["file:///etc", "http://[::1", "http://a:abc/", "http://a b/", "http://a..b/", "http:///x"]
)
def test_a_mirror_is_on_the_web(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a mirror that begins with http"):
        fetch(DAVIS, tmp_path, FetchOptions(mirror))


def test_a_mirror_may_have_any_letters(tmp_path: Path) -> None:
    with hostile_server([Answer(ARCHIVE)]) as server:
        assert not fetch(DAVIS, tmp_path, FetchOptions(f"{server.address}ä b"))[1]


def test_sets_and_files_are_found_by_name() -> None:
    assert [file.name for file in published(["weights", "dextr_coco.pth", "sbd"])] == [
        *(file.name for file in SETS["weights"]),
        "benchmark.tgz",
    ]
    with pytest.raises(InputError, match="'davis16'; did you mean 'davis2016'"):
        published(["davis16"])
    with pytest.raises(
        InputError, match="expected weights, davis2016, davis2017, voc, sbd, coco, grabcut or"
    ):
        published(["imagenet"])


def test_every_file_has_a_place_of_its_own() -> None:
    files = [file for some in SETS.values() for file in some]
    assert len({file.name for file in files}) == len(files)
    assert len({file.becomes for file in FILES.values()}) == len(FILES)
    for file in FILES.values():
        assert file.address.startswith("http")
        assert file.address.endswith("/")
