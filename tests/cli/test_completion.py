"""Completion as a shell asks for it; bash is there on every machine that runs the tests."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from dextr_vos.cli.main import COMMANDS, main

ASK = """
eval "$(dextr-vos completion bash)"
complete -p dextr-vos | grep -q -- "-F _dextr_vos_completion" || exit 7
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_dextr_vos_completion "$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(tmp_path):
    """What bash offers for the last of the words."""
    command = tmp_path / "bin" / "dextr-vos"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dextr_vos "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}

    def ask(*words):
        given = ["bash", "-c", ASK, "bash", "dextr-vos", *words]
        done = subprocess.run(given, env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["prop"], ["propagate"]),
        (["propagate", "--mo"], ["--model"]),
        (["train-propagation", "clip", "--model", ""], ["lite", "paper", "sam2"]),
        (["annotate", "clip", "--model", "g"], ["grabcut"]),
        (["download", "davis"], ["davis2016", "davis2017"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes_commands_options_and_choices(complete, words, offered):
    assert complete(*words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_for_dextr_vos(shell):
    result = CliRunner().invoke(main, ["completion", shell])
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"_DEXTR_VOS_COMPLETE={shell}_complete" in result.stdout
    assert "dextr-vos" in result.stdout


def test_another_shell_is_refused():
    result = CliRunner().invoke(main, ["completion", "tcsh"])
    assert result.exit_code == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.stderr


def test_commands_are_all_offered(complete):
    assert complete("") == list(COMMANDS)
