import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dextr_vos.download.archive import unpack
from dextr_vos.errors import InputError, Interrupted

FILES = {"DAVIS/README.md": b"read", "DAVIS/JPEGImages/480p/dog/00000.jpg": b"jpg", "__MACOSX/DAVIS/._x": b""}


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.mkdir("DAVIS")
        for name, content in files.items():
            packed.writestr(name, content)


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))


def write_tgz(path: Path, files: dict[str, bytes]) -> None:
    write_tar(path, files, "w:gz")


def write_txz(path: Path, files: dict[str, bytes]) -> None:
    write_tar(path, files, "w:xz")


def damaged_xz(path: Path) -> None:
    write_txz(path, {"DAVIS/a": random.Random(0).randbytes(50_000)})
    content = bytearray(path.read_bytes())
    content[30_000:30_100] = bytes(100)
    path.write_bytes(content)


def write_not_utf8(path: Path) -> None:
    write_zip(path, {"DAVIS/é": b""})
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))


WRITERS = [write_zip, write_tar, write_tgz]
Write = Callable[[Path, dict[str, bytes]], None]


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_of_an_archive_takes_its_place(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "a", FILES)
    unpack(tmp_path / "a", "DAVIS", tmp_path / "data" / "DAVIS-2016")
    expected = {"README.md": b"read", "JPEGImages/480p/dog/00000.jpg": b"jpg"}
    assert files_in(tmp_path / "data" / "DAVIS-2016") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "data"]


def test_all_of_an_archive_or_one_file(tmp_path: Path) -> None:
    write_zip(tmp_path / "a", {"models/parent.pth": b"pth", "note": b""})
    unpack(tmp_path / "a", "", tmp_path / "all")
    assert files_in(tmp_path / "all") == {"models/parent.pth": b"pth", "note": b""}
    unpack(tmp_path / "a", "parent.pth", tmp_path / "parent.pth")
    assert (tmp_path / "parent.pth").read_bytes() == b"pth"


def with_member(kind: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tarfile.open(path, "w") as packed:
            member = tarfile.TarInfo("DAVIS/link")
            member.type, member.linkname = kind, "/etc"
            packed.addfile(member)

    return write


def write_zip_link(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        member = zipfile.ZipInfo("DAVIS/link")
        member.external_attr = 0o120777 << 16
        packed.writestr(member, "/etc")


def write_encrypted(path: Path) -> None:
    write_zip(path, FILES)
    content = bytearray(path.read_bytes())
    for magic, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(magic, at + 1)) >= 0:
            content[at + flag] |= 1
    path.write_bytes(content)


def named(name: str, write: Write) -> Callable[[Path], None]:
    return lambda path: write(path, {"DAVIS/a": b"a", name: b"evil"})


def cut(write: Write, kept: float) -> Callable[[Path], None]:
    def short(path: Path) -> None:
        write(path, FILES | {"DAVIS/large": bytes(range(256)) * 100})
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])

    return short


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (named("../evil", write_zip), "which may lead out of its folder"),
        (named("../evil", write_tar), "which may lead out of its folder"),
        (named("DAVIS/../../evil", write_tgz), "which may lead out of its folder"),
        (named("/evil", write_zip), "which may lead out of its folder"),
        (named("/evil", write_tar), "which may lead out of its folder"),
        (named(r"..\evil", write_tar), "which may lead out of its folder"),
        (named("c:evil", write_zip), "which may lead out of its folder"),
        (write_zip_link, "which is a link or a device"),
        (with_member(tarfile.SYMTYPE), "which is a link or a device"),
        (with_member(tarfile.LNKTYPE), "which is a link or a device"),
        (with_member(tarfile.CHRTYPE), "which is a link or a device"),
        (lambda path: write_zip(path, {"DAVIS/bomb": bytes(3 * 10**7)}), "unpacks to more than 20 times"),
        (lambda path: write_tgz(path, {"DAVIS/bomb": bytes(3 * 10**7)}), "unpacks to more than 20 times"),
        (write_encrypted, "is cut short or broken .*encrypted"),
        (cut(write_zip, 0.9), "is cut short or broken"),
        (cut(write_tar, 0.5), "is cut short or broken"),
        (cut(write_tgz, 0.5), "is cut short or broken"),
        (cut(write_txz, 0.5), "is cut short or broken"),
        (damaged_xz, "is cut short or broken"),
        (write_not_utf8, "is cut short or broken"),
        (lambda path: path.write_bytes(b"not an archive"), "is cut short or broken"),
        (lambda path: write_zip(path, {"other/a": b""}), "holds other/a; expected DAVIS"),
        (lambda path: write_tar(path, {}), "holds nothing; expected DAVIS"),
    ],
)
def test_nothing_is_left_of_an_archive_that_is_refused(
    write: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    archive = tmp_path / "below" / "a.zip"
    archive.parent.mkdir()
    write(archive)
    with pytest.raises(InputError, match=message) as caught:
        unpack(archive, "DAVIS", tmp_path / "DAVIS")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["below", "a.zip"]


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as packed:
        packed.writestr("DAVIS/a", b"the contents of a file")
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content.replace(b"contents", b"contentz"))
    with pytest.raises(InputError, match="Bad CRC-32"):
        unpack(tmp_path / "a", "DAVIS", tmp_path / "DAVIS")
    assert not (tmp_path / "DAVIS").exists()


def test_a_stop_leaves_nothing_but_the_archive(tmp_path: Path) -> None:
    write_zip(tmp_path / "a", FILES)
    read: list[int] = []
    with pytest.raises(Interrupted, match="stopped while unpacking a; the same command resumes"):
        unpack(
            tmp_path / "a", "DAVIS", tmp_path / "DAVIS", lambda at, size: read.append(at), lambda: bool(read)
        )
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
