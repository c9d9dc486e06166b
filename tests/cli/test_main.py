import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from dextr_vos import __version__
from dextr_vos.cli.main import COMMANDS, main


def test_version_and_short_help() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.strip().endswith(__version__)
    assert CliRunner().invoke(main, ["-h"]).exit_code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_all_its_options(command: str) -> None:
    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0
    found = main.get_command(click.Context(main), command)
    assert found.help
    assert found.short_help
    options = [one for one in found.params if isinstance(one, click.Option)]
    assert not [one.name for one in options if not one.help]


def test_help_names_every_command() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert all(command in output for command in COMMANDS)


def test_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["paint"]).exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from dextr_vos.cli.main import main;"
        "CliRunner().invoke(main, ['--help']);"
        "print([name for name in ('torch', 'cv2', 'numpy', 'scipy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dextr_vos", "--help"], capture_output=True, text=True, check=True
    )
    assert "train-propagation" in done.stdout
