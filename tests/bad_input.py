"""Commands with bad input, and a check of what they say."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner
from PIL import Image

from dextr_vos.cli.main import main

POINTS = [[8, 20], [25, 22], [16, 14], [17, 33]]
Case = Callable[[Path], list[str]]


def clicks(place: Path, content: object) -> list[str]:
    (place / "bad.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return ["annotate", "tiny", "--clicks", "bad.json", "--out", "out"]


def annotate(clip: str, *options: str) -> list[str]:
    return ["annotate", clip, *(options or ("--clicks", "clicks.json")), "--out", "out"]


def train(keyframes: str, *options: str) -> list[str]:
    return ["propagate", "tiny", "--keyframes", keyframes, "--out", "out", *options]


def evaluate(*options: str) -> list[str]:
    return ["evaluate", "--davis-root", "davis", "--results", "results", *options]


def with_file(name: str, content: bytes, arguments: list[str]) -> Case:
    def case(place: Path) -> list[str]:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return arguments

    return case


def with_mask(name: str, mask: np.ndarray, arguments: list[str], beside: str = "") -> Case:
    def case(place: Path) -> list[str]:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(place / name)
        if beside:
            (place / beside).write_text("{}")
        return arguments

    return case


def without_file(name: str, arguments: list[str]) -> Case:
    def case(place: Path) -> list[str]:
        (place / name).unlink()
        return arguments

    return case


def cut_picture(place: Path) -> list[str]:
    path = place / "tiny" / "00003.png"
    path.write_bytes(path.read_bytes()[:2000])
    return annotate("tiny", "--simulate", "masks", "--frames", "0,3")


def other_size(place: Path) -> list[str]:
    Image.fromarray(np.zeros((48, 60, 3), dtype=np.uint8)).save(place / "tiny" / "00004.png")
    return annotate("tiny")


def other_clips_workspace(place: Path) -> list[str]:
    (place / "out").mkdir()
    (place / "out" / "workspace.yaml").write_text(
        "format: dextr-vos workspace\nversion: 1\nclip: /x\nframes: 6\nsize_hw: [48, 64]\nidentity: '0'\n"
    )
    return annotate("tiny")


def run_of_workspace(place: Path) -> list[str]:
    other_clips_workspace(place)
    with_file("out/propagation/run.json", b"{}", [])(place)
    return ["annotate", "out/propagation", "--clicks", "clicks.json"]


def two_clips(place: Path) -> list[str]:
    for name in "ab":
        with_file(f"clips/{name}/0.png", b"", [])(place)
    return annotate("clips", "--simulate", "masks")


def code_in_weights(place: Path) -> list[str]:
    torch.save({"weights": Path("code")}, place / "w.pth")
    return annotate("tiny", "--clicks", "clicks.json", "--weights", "w.pth")


BLANK = np.zeros((48, 64), dtype=np.uint8)
GREY = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))


def check(place: Path, name: str, case: Case, sentence: str) -> None:
    """One clear sentence, status 2, and nothing left behind."""
    arguments = case(place)
    before = sorted(place.rglob("*"))
    result = CliRunner().invoke(main, arguments)
    logging.getLogger("sentences").info("%s | %s", name, result.stderr.strip())
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("dextr-vos: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert re.search(sentence, result.stderr), result.stderr
    assert sorted(place.rglob("*")) == before
