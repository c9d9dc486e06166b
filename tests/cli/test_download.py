from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from download.hostile_server import Answer, hostile_server

from dextr_vos.cli.main import main


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def call(*given: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["download", *map(str, given)], prog_name="dextr-vos")
    return result.exit_code, result.stdout, result.stderr


def test_weights_are_downloaded_once(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "some.pth")
    content = (tmp_path / "some.pth").read_bytes()
    final = tmp_path / "data" / "weights" / "dextr_pascal.pth"
    with hostile_server([Answer(content)]) as server:
        given = ("dextr_pascal.pth", "--mirror", server.address, "-o", tmp_path / "data")
        status, output, _ = call(*given)
        assert (status, output) == (0, f"{final}\n")
        assert final.read_bytes() == content
        assert call(*given)[:2] == (0, f"{final} is there already\n")


def test_rubbish_is_one_sentence_and_no_file(tmp_path: Path) -> None:
    with hostile_server([Answer(b"\x80\x02 rubbish")]) as server:
        status, output, errors = call("dextr_pascal.pth", "--mirror", server.address, "-o", tmp_path)
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert "is a Python pickle that can run code, and is not loaded" in errors
    assert not (tmp_path / "weights").exists()


def test_a_keras_file_that_is_cut_is_absent(tmp_path: Path) -> None:
    # the superblock of a file of 800 bytes, version 0
    content = b"\x89HDF\r\n\x1a\n".ljust(40, b"\0") + (800).to_bytes(8, "little")
    for size, status in ((700, 2), (800, 0)):
        with hostile_server([Answer(content.ljust(size, b"\0"))]) as server:
            given = ("dextr_pascal-sbd.h5", "--mirror", server.address, "-o", tmp_path)
            found, _, errors = call(*given)
        assert found == status
        assert ("has 700 bytes, expected 800" in errors) == (status == 2)
        assert (tmp_path / "weights").exists() == (status == 0)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    status, _, errors = call("dextr_cocos.pth")
    assert status == 2
    assert (
        errors
        == "dextr-vos: nothing to download is called 'dextr_cocos.pth'; did you mean 'dextr_coco.pth'?\n"
    )
