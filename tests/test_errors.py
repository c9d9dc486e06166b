"""Errors are one sentence on one line, whatever names are in them."""

import errno
import os
import pickle
import zipfile

import pytest

from dextr_vos.cli.main import main
from dextr_vos.errors import (
    ConfigError,
    DextrVosError,
    InputError,
    MissingCheckpointError,
    WeightsError,
    counted,
    refused_by_disk,
)
from dextr_vos.networks.checkpoints import read_state_dict

HOSTILE = "a\nb\x1b[2Jc\r\x9bd\u2028e"
SHOWN = r"a\nb\x1b[2Jc\r\x9bd\u2028e"


@pytest.mark.parametrize("kind", [DextrVosError, InputError, ConfigError, WeightsError])
def test_control_characters_are_shown_as_escapes(kind):
    error = kind(f"there is no file {HOSTILE}")
    assert str(error) == f"there is no file {SHOWN}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # on its way out of a worker


@pytest.mark.parametrize("name", ["фото 1.png", "\u200fשלום\u200d.png", r"C:\new\x", "a\u00a0b"])
def test_names_of_any_script_stay_as_they_are(name):
    assert str(InputError(name)) == name


def test_the_parameter_of_a_missing_checkpoint_leaves_a_worker() -> None:
    error = MissingCheckpointError("the model paper needs a parent", "parent")
    assert pickle.loads(pickle.dumps(error)).parameter == "parent"


def test_one_is_no_plural() -> None:
    assert [counted(count, "frame") for count in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]


def test_the_path_that_a_disk_refuses_is_on_one_line():
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"/tmp/{HOSTILE}")
    assert refused_by_disk(error).startswith(f"cannot read or write /tmp/{SHOWN}: ")


def test_names_in_an_archive_in_place_of_a_checkpoint_are_on_one_line(tmp_path):
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(HOSTILE, "x")
    with pytest.raises(WeightsError) as refused:
        read_state_dict(path)
    assert f"is an archive of {SHOWN}; unpack it" in str(refused.value)


def test_a_command_prints_no_control_characters_of_a_name(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export", str(tmp_path / HOSTILE)], prog_name="dextr-vos")
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "\x1b[2J" not in told
    assert SHOWN in told.replace("\n", "")
