import subprocess
import sys
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from dextr_vos import __version__
from dextr_vos.cli.main import COMMANDS, main


def call(*given):
    """Status, standard output and standard error."""
    result = CliRunner().invoke(main, given, prog_name="dextr-vos")
    return result.exit_code, result.stdout, result.stderr


def found(command: str) -> click.Command:
    return main.get_command(click.Context(main), command)


def test_version_and_short_help() -> None:
    assert call("--version")[1].strip().endswith(__version__)
    assert call("-V") == call("--version")
    assert call("-h")[0] == 0


@pytest.mark.parametrize("command", [[], ["propagate"], ["completion"]])
def test_help_is_a_command_too(command) -> None:
    shown = call("help", *command)
    assert shown == call(*command, "--help")
    assert shown[0] == 0


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("propagate", "propagate [OPTIONS] [CLIP] [KEY=VALUE]..."),
        ("completion", "completion [OPTIONS] SHELL"),
    ],
)
def test_the_usage_shows_what_may_be_left_out(command, usage) -> None:
    assert f"Usage: dextr-vos {usage}" in call(command, "--help")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_all_its_options(command: str) -> None:
    assert call(command, "--help")[0] == 0
    assert found(command).help
    assert found(command).short_help
    options = [one for one in found(command).params if isinstance(one, click.Option)]
    assert not [one.name for one in options if not one.help]


def test_help_names_every_command() -> None:
    output = call("--help")[1]
    assert all(command in output for command in COMMANDS)


def test_train_propagation_is_the_full_twin_of_propagate() -> None:
    one, other = found("propagate"), found("train-propagation")
    assert (one.name, other.name) == ("propagate", "train-propagation")
    assert one.params == other.params
    assert one.callback is other.callback
    helps = [call(name, "--help")[1].partition("Fine-tune a network")[2] for name in (one.name, other.name)]
    assert helps[0] == helps[1] != ""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["propagat"], "there is no command 'propagat'; did you mean 'propagate'? see dextr-vos --help"),
        (["evaluate-click"], "there is no command 'evaluate-click'; did you mean 'evaluate-clicks'?"),
        (
            ["train"],
            "there is no command 'train'; did you mean 'propagate', 'train-dextr' or 'train-parent'?",
        ),
        (["help", "paint"], "there is no command 'paint'; see dextr-vos --help"),
        (["propagate", "clip", "--max"], "there is no option '--max'; did you mean '--max-steps'?"),
        (["propagate", "clip", "--alpha", "0.3"], "alpha is a setting: write alpha=VALUE (docs/formats.md#"),
        (["train-propagation", "clip", "--tracking.max-recent=2"], "tracking.max_recent is a setting: write"),
        (["export", "clip", "--alpha", "0.3"], "there is no option '--alpha'"),
        (
            ["propagate", "clip", "--budget", "1m"],
            "invalid value for '--budget': '1m' is no number; expected seconds, such as 60; see",
        ),
        (
            ["propagate", "clip", "--max-steps", "1.5"],
            "invalid value for '--max-steps': '1.5' is no whole number; see",
        ),
        (["evaluate", "work", "--clips", "dog"], "give it as --results work; see dextr-vos evaluate --help"),
        (["import", "f.json", "--format", "coco"], "give CLIP before FILE: dextr-vos import CLIP f.json"),
        (["completion", "csh"], "invalid value for 'SHELL': 'csh' is not one of 'bash', 'zsh', 'fish';"),
        (["paint"], "there is no command 'paint'; see dextr-vos --help"),
        (["--verson"], "there is no option '--verson'; did you mean '--version'? see dextr-vos --help"),
        (
            ["propagate", "--mdoel", "lite"],
            "there is no option '--mdoel'; did you mean '--model'? see dextr-vos propagate --help",
        ),
        (["suggest", "run", "--xyz"], "there is no option '--xyz'; see dextr-vos suggest --help"),
        (["propagate"], "give a CLIP or a workspace, or --project FOLDER for all clips of a folder"),
        (["convert"], "missing argument 'SRC'; see dextr-vos convert --help"),
        (["evaluate-clicks"], "missing option '--dataset'; choose from: voc, coco, davis, grabcut, folder;"),
        (["synthesize"], "missing option '-o' / '--out'; see dextr-vos synthesize --help"),
        (
            ["evaluate", "--year", "1"],
            "invalid value for '--year': '1' is not one of 'auto', '2016', '2017';",
        ),
        (["suggest", "run", "--count", "0"], "invalid value for '--count': 0 is not in the range x>=1;"),
        (["annotate", "dog", "--out"], "option '--out' requires an argument; see dextr-vos annotate --help"),
        (["annotate", "dog", "-o"], "option '-o' requires an argument; see dextr-vos annotate --help"),
        (["suggest", "run", "extra"], "got unexpected extra argument (extra); see dextr-vos suggest --help"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_with_the_nearest_name(given, sentence) -> None:
    status, output, errors = call(*given)
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"dextr-vos: {sentence}")


def test_ctrl_c_outside_long_work_ends_with_status_130(monkeypatch, tmp_path) -> None:
    def interrupted(*_):
        raise KeyboardInterrupt

    import_module("dextr_vos.pipeline")  # imported below for the first time, it would keep what is patched
    monkeypatch.setattr("dextr_vos.clip.open_clip", interrupted)
    status, output, errors = call("propagate", str(tmp_path), "--keyframes", "x", "-o", "y")
    assert (status, output, errors) == (130, "", "dextr-vos: stopped\n")


def test_a_flag_means_the_same_in_every_command() -> None:
    meanings: dict[str, set[str]] = {}
    for command in COMMANDS:
        for option in found(command).params:
            if isinstance(option, click.Option) and option.opts[-1] not in ("--help", "--model"):
                kind = f"{option.type.to_info_dict()} {option.metavar}"
                meanings.setdefault(option.opts[-1], set()).add(kind)
    meanings.pop("--config")  # a file of settings everywhere; what it holds is another thing in each command
    assert len(meanings.pop("--format")) == 2  # export knows film, too
    out = {kind.rpartition(" ")[2] for kind in meanings.pop("--out")}
    assert out == {"DIR", "WORKSPACE", "RUN"}
    assert {flag: kinds for flag, kinds in meanings.items() if len(kinds) > 1} == {}


def test_out_has_its_short_form_everywhere() -> None:
    options = [option for command in COMMANDS for option in found(command).params]
    assert {tuple(option.opts) for option in options if "--out" in option.opts} == {("-o", "--out")}


def test_the_models_of_the_command_line_are_those_of_the_library() -> None:
    from dextr_vos.annotation import segmenter
    from dextr_vos.cli.options import CLICK_MODELS, PROPAGATION_MODELS
    from dextr_vos.propagation import models

    assert set(PROPAGATION_MODELS) == set(models.MODELS_BY_NAME)
    assert set(CLICK_MODELS) == set(segmenter.MODELS)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from dextr_vos.cli.main import main, COMMANDS;"
        "[CliRunner().invoke(main, [name, '--help']) for name in ('', *COMMANDS)];"
        "print([name for name in ('torch', 'cv2', 'numpy', 'scipy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "dextr_vos", "propagat"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "dextr-vos: there is no command 'propagat'; did you mean 'propagate'? see dextr-vos --help\n"
    )
