"""A file is whole or absent, whatever the server does; docs/downloads.md has the table of what it says."""

import hashlib
import random
import resource
from dataclasses import replace
from pathlib import Path
from urllib.request import Request

import pytest
from download.hostile_server import Answer, hostile_server

from dextr_vos.download.transfer import Transfer, _SafeRedirects
from dextr_vos.errors import InputError, Interrupted

CONTENT = random.Random(0).randbytes(200_000)
OTHER = random.Random(1).randbytes(200_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
GOOD = Answer(CONTENT)
CUT = replace(GOOD, cut_after=80_000)
NO_PAUSES = (0.0, 0.0, 0.0)
PAGE = b"<!DOCTYPE html><html>404</html>"


def run(address: str, folder: Path, checksum: str = "", name: str = "file.bin", **options: object) -> Path:
    options = {"pauses_s": NO_PAUSES} | options
    Transfer(address + name, folder / name, 400_000, checksum, **options).run()
    return folder / name


@pytest.mark.parametrize(
    ("answers", "checksum", "ranges"),
    [
        ([GOOD], "", [""]),
        ([CUT, GOOD], "", ["", "bytes=80000-"]),
        ([CUT, CUT, GOOD], "", ["", "bytes=80000-", "bytes=160000-"]),
        ([CUT, replace(GOOD, ranges=False)], "", ["", "bytes=80000-"]),
        ([replace(CUT, etag=""), replace(GOOD, etag="")], "", ["", ""]),
        ([replace(CUT, etag=""), replace(GOOD, etag="")], SHA256, ["", "bytes=80000-"]),
        ([Answer(OTHER, '"0"', cut_after=80_000), GOOD], "", ["", "bytes=80000-"]),
        (
            [Answer(OTHER, '"0"', cut_after=80_000), replace(GOOD, if_range=False), GOOD],
            "",
            ["", "bytes=80000-", ""],
        ),
        ([CUT, replace(GOOD, shift=5), GOOD], "", ["", "bytes=80000-", ""]),
        ([replace(GOOD, length=300_000), GOOD], "", ["", "bytes=200000-"]),
        ([replace(GOOD, chunked=True)], "", [""]),
        ([replace(GOOD, chunked=True, cut_after=80_000), GOOD], "", ["", ""]),
        ([replace(GOOD, length=-1)], SHA256, [""]),
        ([replace(GOOD, status=503), replace(GOOD, status=429), GOOD], "", ["", "", ""]),
        ([replace(GOOD, status=302, location="/elsewhere"), GOOD], "", ["", ""]),
    ],
    ids=[
        "good",
        "cut once",
        "cut twice",
        "cut, Range ignored",
        "cut, no ETag",
        "cut, no ETag, checksum",
        "changed",
        "changed, If-Range ignored",
        "another part",
        "length too long",
        "chunks",
        "chunks, cut",
        "no length, checksum",
        "busy",
        "redirect",
    ],
)
def test_the_file_is_whole(answers: list[Answer], checksum: str, ranges: list[str], tmp_path: Path) -> None:
    with hostile_server(answers) as server:
        path = run(server.address, tmp_path, checksum)
    assert path.read_bytes() == CONTENT
    assert server.ranges == ranges
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("answer", "checksum", "name", "message"),
    [
        (
            Answer(OTHER),
            SHA256,
            "file.bin",
            "was downloaded and removed: it has the sha256 .*, expected .*; try again",
        ),
        (replace(GOOD, length=100_000), SHA256, "file.bin", "has the sha256"),
        (
            Answer(PAGE, kind="text/html"),
            "",
            "file.bin",
            "sent a web page .* the file has moved or needs a login",
        ),
        (Answer(PAGE), "", "file.bin", "sent a web page"),
        (GOOD, "", "file.zip", r"sent something else than a \.zip file"),
        (Answer(b""), "", "file.bin", "sent nothing"),
        (replace(GOOD, status=404), "", "file.bin", "answers 404 Not Found; the file may have moved"),
        (replace(GOOD, status=403), "", "file.bin", "answers 403 Forbidden"),
        (replace(GOOD, length=-1), "", "file.bin", "does not say how long"),
        (replace(GOOD, length=900_000), "", "file.bin", "has 900000 bytes, expected at most 400000"),
        (Answer(3 * CONTENT, chunked=True), "", "file.bin", "is longer than 400000 bytes"),
        (replace(GOOD, status=302, location="/file.bin"), "", "file.bin", "infinite loop"),
        (replace(GOOD, status=302, location="file:///etc/passwd"), "", "file.bin", "not allowed"),
    ],
    ids=[
        "rubbish",
        "length too short",
        "web page",
        "web page in disguise",
        "another kind of file",
        "nothing",
        "404",
        "403",
        "no length",
        "too long",
        "endless",
        "redirects in a circle",
        "redirect to a local file",
    ],
)
def test_the_file_is_absent(answer: Answer, checksum: str, name: str, message: str, tmp_path: Path) -> None:
    with hostile_server([answer]) as server, pytest.raises(InputError, match=message) as caught:
        run(server.address, tmp_path, checksum, name)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert len(server.ranges) < 12  # of the redirects; others are not asked twice


def test_a_part_is_kept_for_the_next_command(tmp_path: Path) -> None:
    dead = replace(GOOD, status=503)
    with hostile_server([CUT, dead]) as server:
        with pytest.raises(InputError, match=r"answers 503 .*, 4 times; what has come is kept"):
            run(server.address, tmp_path)
        assert len(server.ranges) == 4
        assert not (tmp_path / "file.bin").exists()
        server.answers = [GOOD]
        assert run(server.address, tmp_path).read_bytes() == CONTENT
        assert server.ranges[-1] == "bytes=80000-"


def test_a_part_of_another_address_is_not_continued(tmp_path: Path) -> None:
    with hostile_server([CUT]) as first, pytest.raises(InputError):
        run(first.address, tmp_path, pauses_s=())
    with hostile_server([GOOD]) as second:
        assert run(second.address, tmp_path).read_bytes() == CONTENT
        assert second.ranges == [""]


def test_a_server_that_has_another_file_each_time_is_given_up(tmp_path: Path) -> None:
    large = bytes(1_500_000)
    tags = [Answer(large, f'"{i}"', cut_after=1_400_000, if_range=False) for i in range(20)]
    with hostile_server([*tags, Answer(large)]) as server, pytest.raises(InputError, match="4 times"):
        Transfer(f"{server.address}file.bin", tmp_path / "file.bin", 10**7, pauses_s=NO_PAUSES).run()
    assert len(server.ranges) < 8


def test_a_part_longer_than_the_file_begins_again(tmp_path: Path) -> None:
    with hostile_server([CUT, GOOD]) as server:
        with pytest.raises(InputError):
            run(server.address, tmp_path, pauses_s=())
        (tmp_path / "file.bin.part").write_bytes(bytes(300_000))
        assert run(server.address, tmp_path).read_bytes() == CONTENT


def test_progress_is_reported_and_a_stop_keeps_the_part(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with hostile_server([GOOD]) as server:
        with pytest.raises(
            Interrupted, match=r"stopped while downloading file\.bin; the same command resumes"
        ):
            run(server.address, tmp_path, on_bytes=lambda *at: seen.append(at), stop_asked=lambda: bool(seen))
        assert 0 < seen[0][0] <= seen[0][1] == len(CONTENT)
        assert (tmp_path / "file.bin.part").stat().st_size == seen[0][0]
        assert run(server.address, tmp_path).read_bytes() == CONTENT


def test_a_full_disk_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 50_200_000
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": needed}))
    zipped = Answer(b"PK" + CONTENT[2:])
    with hostile_server([zipped]) as server:
        run(server.address, tmp_path).unlink()
        with pytest.raises(InputError, match=r"needs 0.1 GB .* 0.1 GB are free"):
            run(server.address, tmp_path, name="file.zip")  # what it holds needs room, too
        needed -= 1
        with pytest.raises(InputError, match=r"needs 0.1 GB .* 0.1 GB are free"):
            run(server.address, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_reported_and_the_part_is_kept(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with hostile_server([GOOD]) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, before[1]))
        try:
            with pytest.raises(OSError, match="File too large") as caught:
                run(server.address, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert caught.value.filename == str(tmp_path / "file.bin.part")  # which the command line prints
        assert server.ranges == [""]
        assert run(server.address, tmp_path).read_bytes() == CONTENT


def test_a_server_that_is_not_there_is_reported_at_once(tmp_path: Path) -> None:
    with hostile_server([GOOD]) as server:
        address = server.address
    with pytest.raises(InputError, match="cannot reach http://127"):
        run(address, tmp_path, pauses_s=(60.0,))


def test_encryption_is_not_given_up_by_a_redirect() -> None:
    with pytest.raises(InputError, match="which is not encrypted"):
        _SafeRedirects().redirect_request(Request("https://a.org/x"), None, 302, "", {}, "http://b.org/x")


@pytest.mark.parametrize("check_fails", [True, False])
def test_a_file_is_checked_before_it_takes_its_place(check_fails: bool, tmp_path: Path) -> None:
    def check(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        assert not (tmp_path / "file.bin").exists()
        if check_fails:
            raise InputError("no checkpoint")

    with hostile_server([GOOD]) as server:
        transfer = Transfer(f"{server.address}file.bin", tmp_path / "file.bin", 400_000)
        if check_fails:
            with pytest.raises(InputError, match="no checkpoint"):
                transfer.run(check)
        else:
            transfer.run(check)
    assert [path.name for path in tmp_path.iterdir()] == ([] if check_fails else ["file.bin"])
