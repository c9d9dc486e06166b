"""The `dextr-vos` command: finds the commands, and turns errors into one line and an exit status.

A command lives in a file of its own and is imported when it is needed. Nothing heavy is imported at the top
of any of them, so that `--help` and shell completion are instant.
"""

import copy
import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.resources import files
from typing import Any

import rich_click as click
from click.exceptions import Exit

from dextr_vos import __version__
from dextr_vos.errors import (
    DextrVosError,
    InputError,
    Interrupted,
    MissingCheckpointError,
    refused_by_disk,
)

# the module of each command, in the order in which they are used
COMMANDS = {
    "annotate": "annotate",
    "propagate": "propagate",
    "train-propagation": "propagate",
    "suggest": "suggest",
    "lock": "lock",
    "segment": "segment",
    "evaluate": "evaluate",
    "evaluate-clicks": "evaluate_clicks",
    "export": "export",
    "import": "import_masks",
    "label-studio": "label_studio",
    "synthesize": "synthesize",
    "speed": "speed",
    "benchmark": "benchmark",
    "report": "report",
    "compare": "compare",
    "train-dextr": "train_dextr",
    "train-parent": "train_parent",
    "download": "download",
    "convert": "convert",
    "export-onnx": "export_onnx",
    "completion": "completion",
}
TWINS = {"train-propagation": "propagate"}


class CommandsByFile(click.RichGroup):
    """A group whose commands are the `command` of modules in `dextr_vos/cli/`, see `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which the commands are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"dextr_vos.cli.{COMMANDS[cmd_name]}").command
        named = copy.copy(command)
        named.name = cmd_name
        if cmd_name in TWINS:
            named.short_help = f"The same as {TWINS[cmd_name]}."
        return named

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `help COMMAND` for `COMMAND --help`."""
        return super().parse_args(ctx, [*args[1:2], "--help"] if args[:1] == ["help"] else args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a mistyped one is answered with the nearest."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"there is no command '{name}'{_nearest(name, list(COMMANDS))}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the options before the command."""
        with _one_line_and_status():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _one_line_and_status():
            try:
                return super().invoke(ctx)
            except click.UsageError as error:
                command = self.get_command(ctx, str(ctx.invoked_subcommand))
                if error.ctx is None and command is not None:  # click does not say where a value is missing
                    error.ctx = click.Context(command, parent=ctx, info_name=command.name)
                raise
            except MissingCheckpointError as error:
                flag = f"--{error.parameter}"
                command = self.get_command(ctx, str(ctx.invoked_subcommand))
                if command is None or not any(flag in option.opts for option in command.params):
                    raise
                raise InputError(f"{error}; give it as {flag} FILE") from None


@contextmanager
def _one_line_and_status() -> Iterator[None]:
    """Turn an error a user can correct into one line and status 2, and a stop into status 130."""
    try:
        yield
    except click.UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 and later
            raise
        _end(_usage_sentence(error), 2)
    except DextrVosError as error:
        _end(str(error), 2)
    except Interrupted as stop:
        _end(str(stop), 130)
    except KeyboardInterrupt:
        _end("stopped", 130)
    except OSError as error:
        if error.filename is None or error.errno == errno.EPIPE:  # click handles a broken pipe
            raise
        logging.getLogger(__name__).debug("where it happened:", exc_info=True)
        _end(refused_by_disk(error), 2)


def _end(sentence: str, status: int) -> None:
    click.echo(f"dextr-vos: {sentence}", err=True)
    raise Exit(status)


def _usage_sentence(error: click.UsageError) -> str:
    """What is wrong with the command line, the nearest option, and where all of them are listed."""
    sentence = " ".join(error.format_message().split()).replace(". Choose from", "; choose from")
    sentence = _NOT_A_NUMBER.sub(partial(_expected_number, error), sentence)
    path = error.ctx.command_path if error.ctx is not None else "dextr-vos"
    if isinstance(error, click.NoSuchOption):
        parameters = error.ctx.command.params if error.ctx is not None else []
        known = [flag for parameter in parameters for flag in parameter.opts if flag.startswith("--")]
        sentence = f"there is no option '{error.option_name}'{_nearest(error.option_name, known)}"
        if error.ctx is not None and COMMANDS.get(str(error.ctx.command.name)) == "propagate":
            sentence = _setting_as_option(error.option_name) or sentence
    sentence = sentence[:1].lower() + sentence[1:].rstrip(".?")
    return f"{sentence}{'?' if 'did you mean' in sentence else ';'} see {path} --help"


_NOT_A_NUMBER = re.compile("is not a valid (float|integer)( range)?")


def _expected_number(error: click.UsageError, found: re.Match[str]) -> str:
    """What a number that is none should have been."""
    if getattr(getattr(error, "param", None), "metavar", None) == "SECONDS":
        return "is no number; expected seconds, such as 60"
    return f"is no {'whole ' if found[1] == 'integer' else ''}number"


def _setting_as_option(flag: str) -> str:
    """How a setting of propagate is given that was given as an option; "" where it is none."""
    from dextr_vos.propagation.settings import KEYS, how_to_set

    key = flag.removeprefix("--").replace("-", "_")
    return how_to_set(key) if key in KEYS else ""


def _nearest(name: str, known: list[str]) -> str:
    """The known names that begin with a name, or the nearest one, as the end of a sentence."""
    begun = list(dict.fromkeys(TWINS.get(each, each) for each in known if each.startswith(f"{name}-")))
    near = [f"'{each}'" for each in begun or get_close_matches(name, known, n=1)]
    some = " or ".join(filter(None, [", ".join(near[:-1]), *near[-1:]]))
    return f"; did you mean {some}?" if some else ""


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    click.echo(f"dextr-vos, version {__version__}")
    if context.params["verbose"]:
        click.echo("\nCode: Apache-2.0.\n")
        click.echo((files("dextr_vos") / "weights" / "NOTICE").read_text(encoding="utf-8"), nl=False)
    context.exit()


@click.group(cls=CommandsByFile, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, is_eager=True, help="Print more details.")
@click.option(
    "-V",
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit; with -v, the terms of the code and of the network weights, too.",
)
def main(verbose: bool) -> None:
    """Clicks on a few frames in, masks of every frame out.

    The workflow: annotate → propagate → evaluate or export.
    """
    # GNU OpenMP reads this when PyTorch loads it: threads that wait for one another burn their core for
    # milliseconds, and on a machine that others use, too, that made fine-tuning up to six times slower
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    logging.basicConfig(format="%(message)s")
    logging.getLogger("dextr_vos").setLevel(logging.DEBUG if verbose else logging.INFO)
