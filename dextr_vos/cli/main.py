"""The `dextr-vos` command: finds the commands and turns faults into one line and an exit status.

A command lives in the file of its name and is imported when it is needed. Nothing heavy is imported at the
top of any of them, so that `--help` is instant.
"""

import errno
import logging
import os
from importlib import import_module
from typing import Any

import rich_click as click

from dextr_vos import __version__
from dextr_vos.errors import DextrVosError, Interrupted

COMMANDS = (
    "annotate",
    "train-propagation",
    "suggest",
    "lock",
    "segment",
    "evaluate",
    "evaluate-clicks",
    "export",
    "synthesize",
    "speed",
    "benchmark",
    "report",
    "compare",
    "train-dextr",
    "train-parent",
)


class CommandsByFile(click.RichGroup):
    """A group whose command `some-name` is `command` in `dextr_vos/cli/some_name.py`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which the commands are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"dextr_vos.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        command.name = cmd_name
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a user's fault is one line and status 2, Ctrl-C with work kept is status 130."""
        try:
            return super().invoke(ctx)
        except DextrVosError as fault:
            click.echo(f"dextr-vos: {fault}", err=True)
            ctx.exit(2)
        except Interrupted as stop:
            click.echo(f"dextr-vos: {stop}", err=True)
            ctx.exit(130)
        except OSError as fault:
            if fault.filename is None or fault.errno == errno.EPIPE:  # click ends well at a broken pipe
                raise
            logging.getLogger(__name__).debug("where it happened:", exc_info=True)
            place = fault.filename2 or fault.filename
            click.echo(f"dextr-vos: cannot read or write {place}: {fault.strerror}", err=True)
            ctx.exit(2)


@click.group(cls=CommandsByFile, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dextr-vos")
@click.option("-v", "--verbose", is_flag=True, help="Tell more about what is being done.")
def main(verbose: bool) -> None:
    """Clicks on a few frames in, masks of every frame out.

    The road: annotate → train-propagation → evaluate (or export).
    """
    # GNU OpenMP reads this when PyTorch loads it: threads that wait for one another burn their core for
    # milliseconds, and on a machine that others use, too, that made fine-tuning up to six times slower
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    logging.basicConfig(format="%(message)s")
    logging.getLogger("dextr_vos").setLevel(logging.DEBUG if verbose else logging.INFO)
