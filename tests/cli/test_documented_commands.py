"""The commands in documents, configurations and scripts are ones that exist, with options that exist."""

import re
from pathlib import Path

import click
import pytest

from dextr_vos.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "configs/**/*.yaml",
        "configs/*.md",
        "scripts/*.sh",
        "scripts/*.py",
    )
    for path in sorted(ROOT.glob(pattern))
]
COMMAND = re.compile(r"(?:dextr-vos|-m dextr_vos|\bsay) (?P<name>[a-z]+(?:-[a-z]+)*)(?P<rest>[^`\n]*)")


def documented(path: Path) -> list[tuple[str, list[str]]]:
    """Each command of a file: its name and its options."""
    text = re.sub(r"\\\n\s*(#\s*)?", " ", path.read_text(encoding="utf-8"))
    found = []
    for match in COMMAND.finditer(text):
        rest = re.split(r"\s#|[|;]| && | -- ", match["rest"])[0]
        found.append((match["name"], re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", rest)))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_options_exist(path: Path) -> None:
    wrong = []
    for name, options in documented(path):
        # in a sentence the word after the program's name may be no command; with options it is
        if name not in COMMANDS:
            wrong += [f"{name} {' '.join(options)}"] if options else []
            continue
        command = main.get_command(click.Context(main), name)
        known = {
            "-h",
            "--help",
            *(flag for one in command.params for flag in (*one.opts, *one.secondary_opts)),
        }
        wrong += [f"{name} {option}" for option in options if option not in known]
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_benchmark_is_written_with_what_it_needs(path: Path) -> None:
    wrong = [
        options
        for name, options in documented(path)
        if name == "benchmark" and "--click-times" in options and "--config" not in options
    ]
    assert not wrong


def test_the_commands_of_the_readme_are_found() -> None:
    names = {name for name, _ in documented(ROOT / "README.md")}
    assert {"annotate", "propagate", "evaluate", "export"} <= names
