"""Bad input by the dozen: each gets one clear sentence and status 2, and leaves nothing behind.

`pytest tests/cli/test_bad_input.py --log-cli-level=INFO` shows all the sentences.
"""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import tiny_mask
from PIL import Image

from dextr_vos.cli.main import main
from dextr_vos.masks import write_labels

POINTS = [[8, 20], [25, 22], [16, 14], [17, 33]]
Case = Callable[[Path], list[str]]


@pytest.fixture
def place(tmp_path: Path, tiny_clip: Path) -> Path:
    """A folder with a good clip (tiny), clicks (clicks.json), masks, and a DAVIS root of two frames."""
    (tmp_path / "clicks.json").write_text(json.dumps({"00000": [POINTS]}))
    for index in range(6):
        write_labels(tmp_path / "masks" / f"{index:05d}.png", tiny_mask(index))
        write_labels(tmp_path / "davis/Annotations/480p/tiny" / f"{index:05d}.png", tiny_mask(index))
        write_labels(tmp_path / "results/tiny" / f"{index:05d}.png", tiny_mask(index))
    return tmp_path


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

CASES: dict[str, tuple[Case, str]] = {
    "no clip": (lambda _: annotate("nowhere"), "there is no clip nowhere; .* or a video file$"),
    "mistyped clip": (
        lambda _: annotate("tinny"),
        r"no clip tinny; expected a folder of images or a video file; did you mean tiny\?",
    ),
    "mistyped folder of the clip": (
        with_file("frames/dog/0.png", b"", ["propagate", "frame/dog", "--keyframes", "masks"]),
        r"no clip frame/dog; .*; did you mean frames/dog\?",
    ),
    "mistyped video": (
        with_file("films/holiday.mp4", b"", annotate("films/hollyday")),
        r"no clip films/hollyday; .*; did you mean films/holiday\.mp4\?",
    ),
    "address as clip": (
        lambda _: annotate("https://example.com/a.mp4"),
        r"cannot open https://example\.com/a\.mp4: addresses are not read; download the video first$",
    ),
    "address to propagate": (
        lambda _: ["propagate", "https://example.com/a.mp4", "--keyframes", "masks"],
        r"cannot open https://example\.com/a\.mp4: addresses are not read; download the video first$",
    ),
    "address of a file": (
        lambda _: annotate("file:///films/a.mp4"),
        r"cannot open file:///films/a\.mp4: addresses are not read; give the path /films/a\.mp4$",
    ),
    "one picture as clip": (
        lambda _: annotate("tiny/00000.png"),
        "00000.png is a single image; .*; give the folder tiny$",
    ),
    "pictures as clip": (
        lambda _: annotate("tiny/00000.png", "tiny/00001.png", "tiny/00002.png"),
        "give the folder tiny, not its files; see .*annotate --help$",
    ),
    "pictures to propagate": (
        lambda _: ["propagate", "tiny/00000.png", "tiny/00001.png", "--keyframes", "masks"],
        "00000.png is a single image; .*; give the folder tiny$",
    ),
    "pictures to segment": (
        lambda _: ["segment", "tiny/00000.png", "tiny/00001.png", "--run", "masks", "--out", "out"],
        "give the folder tiny, not its files; see .*segment --help$",
    ),
    "run as clip": (
        with_file("work/dog/propagation/run.json", b"{}", annotate("work/dog/propagation")),
        "work/dog/propagation is a run; give the clip or its workspace$",
    ),
    "run of a workspace as clip": (
        run_of_workspace,
        "out/propagation is a run; give the clip or its workspace out$",
    ),
    "run to propagate": (
        with_mask("r/masks/0.png", BLANK, ["propagate", "r"], beside="r/run.json"),
        "r is a run; give the clip or its workspace$",
    ),
    "clicks on a folder of one clip": (
        with_file("clips/a/0.png", b"", annotate("clips")),
        "clips holds 1 clip; with --clicks give that: clips/a$",
    ),
    "masks for a folder of clips": (
        two_clips,
        "clips holds 2 clips; with --simulate give one of them: clips/a, clips/b$",
    ),
    "empty folder": (with_file("e/.keep", b"", annotate("e")), "no images in the folder e: found nothing"),
    "folder of texts": (with_file("e/a.txt", b"x", annotate("e")), "found 1 file of other kinds"),
    "text as video": (with_file("v.mp4", b"text", annotate("v.mp4")), r"cannot read the video v\.mp4"),
    "broken picture": (
        with_file("tiny/00009.png", b"x", annotate("tiny")),
        r"cannot read the image tiny/00009\.png.*; replace the file$",
    ),
    "cut-off picture": (cut_picture, r"cannot read the image tiny/00003\.png"),
    "mixed sizes": (other_size, r"tiny/00004\.png is 60×48 pixels, the other frames .* are 64×48"),
    "no clicks file": (
        lambda _: annotate("tiny", "--clicks", "none.json"),
        r"there is no file none\.json",
    ),
    "both clicks and masks": (
        lambda _: annotate("tiny", "--clicks", "clicks.json", "--simulate", "masks"),
        "give either --clicks",
    ),
    "--jitter without --simulate": (lambda _: annotate("tiny", "--jitter", "2"), "--jitter goes with"),
    "--port without the page": (
        lambda _: annotate("tiny", "--clicks", "clicks.json", "--no-open"),
        "--no-open is for the page",
    ),
    "neither clip nor settings": (lambda _: ["annotate"], "give a CLIP or a workspace, or --config"),
    "clip beside settings": (
        lambda _: annotate("tiny", "--config", "anno_cfg.yml"),
        "names the images and the folder of the masks; leave out CLIP and --out$",
    ),
    "clip alone beside settings": (
        lambda _: ["annotate", "tiny", "--config", "anno_cfg.yml"],
        "leave out CLIP$",
    ),
    "clicks beside settings": (
        lambda _: ["annotate", "--config", "c.yml", "--clicks", "c.json"],
        "leave out --clicks$",
    ),
    "three options beside settings": (
        lambda _: ["annotate", "x", "--config", "c.yml", "--parent", "p", "--max-steps", "2"],
        "leave out CLIP, --max-steps and --parent$",
    ),
    "page on a clip that is not there": (
        lambda _: ["annotate", "nowhere", "--out", "out", "--no-open"],
        "there is no clip nowhere",
    ),
    "page on another clip's workspace": (
        lambda place: [*other_clips_workspace(place)[:2], "--no-open", "--out", "out"],
        r"the workspace out belongs to /x \(6 frames of 64×48\), not to tiny",
    ),
    "COCO under another suffix": (
        lambda _: ["export", "tiny", "--masks", "masks", "--coco", "masks.txt"],
        r"the COCO file masks\.txt must end in \.json",
    ),
    "page under another suffix": (
        lambda _: ["export", "tiny", "--masks", "masks", "--page", "page", "--sheet", "s.jpg"],
        r"the page page must end in \.html",
    ),
    "export into a folder called like a file": (
        lambda _: ["export", "tiny", "--masks", "masks", "-o", "exp.zip"],
        r"exp\.zip is called like a file \(application/zip\), expected a folder",
    ),
    "format into a new folder called like a file": (
        lambda _: ["export", "tiny", "--masks", "masks", "--format", "coco", "-o", "masks.xml"],
        r"masks\.xml is called like a file .*, expected a folder; give .*, or a file that ends in \.json",
    ),
    "figures into a folder": (
        lambda _: evaluate("--json", "masks"),
        r"masks is a folder; give a FILE\.json",
    ),
    "chart into a folder": (
        with_file("c.svg/x", b"", evaluate("--plot", "c.svg")),
        r"c\.svg is a folder; give a FILE\.svg",
    ),
    "run in the folder of the clips": (
        lambda _: ["propagate", "tiny", "--keyframes", "results/tiny", "-o", "."],
        r"\. is the folder that the clip tiny is in; give a run folder, such as results/tiny",
    ),
    "clicks into the clip's folder": (
        lambda _: ["annotate", "tiny", "--clicks", "clicks.json", "--model", "grabcut", "-o", "tiny"],
        "the workspace tiny is the clip's own folder, .* give another, such as work/tiny",
    ),
    "page in the clip's folder": (
        lambda _: ["annotate", "tiny", "--no-open", "-o", "tiny"],
        "the workspace tiny is the clip's own folder",
    ),
    "import into the clip's folder": (
        lambda _: ["import", "tiny", "masks", "--format", "masks", "-o", "./tiny/"],
        "the workspace tiny is the clip's own folder",
    ),
    "run in the clip's folder": (
        lambda _: ["propagate", "tiny", "--keyframes", "masks", "-o", "tiny"],
        "the run tiny is the clip's own folder, .* give another, such as work/tiny/propagation",
    ),
    "run of nothing": (lambda _: ["suggest", "none"], "there is no folder none; give the workspace"),
    "run of a clip": (lambda _: ["lock", "tiny", "0"], "tiny is a folder of images, expected a run"),
    "run of a file": (lambda _: ["suggest", "clicks.json"], r"clicks\.json is a file, expected a run"),
    "run of another folder": (lambda _: ["suggest", "davis"], "davis holds no finished run; give the"),
    "run of workspaces": (
        with_file("w/a/workspace.yaml", b"", ["suggest", "w"]),
        "w is a folder of workspaces; give one of them: w/a",
    ),
    "masks of workspaces": (
        with_file("w/a/workspace.yaml", b"", ["export", "tiny", "--masks", "w", "--sheet", "s.jpg"]),
        "w is a folder of workspaces; give one of them: w/a",
    ),
    "frames as keyframes": (
        lambda _: ["propagate", "tiny", "--keyframes", "0,5"],
        "there is no folder 0,5; --keyframes takes a workspace or a folder of masks",
    ),
    "broken JSON": (lambda place: clicks(place, '{"00000": ['), "is not valid JSON: .* line 1"),
    "unknown frame": (lambda place: clicks(place, {"12": [POINTS]}), "has no frame '12'"),
    "three points": (
        lambda place: clicks(place, {"00000": [POINTS[:3]]}),
        r"bad\.json, frame '00000', object 1: 3 points, expected at least four",
    ),
    "point outside": (
        lambda place: clicks(place, {"00000": [POINTS, [*POINTS, [99, 3]]]}),
        r"frame '00000', object 2, point 5: \(99, 3\) is outside the 64×48 image",
    ),
    "flat box": (
        lambda place: clicks(place, {"00000": [[[5, 9], [5, 30], [6, 9], [6, 30]]]}),
        "span a box of 2×22 px, expected at least 3×3",
    ),
    "word as point": (
        lambda place: clicks(place, {"00000": [["left"]]}),
        r"object 1, point 1: expected \[x, y\]",
    ),
    "newer annotations": (
        lambda place: clicks(place, {"format": "dextr-vos annotations", "version": 9}),
        r"is of version 9, expected \d",
    ),
    "no mask folder": (
        lambda _: annotate("tiny", "--simulate", "none"),
        "there is no mask folder none",
    ),
    "frame out of range": (
        lambda _: annotate("tiny", "--simulate", "masks", "--frames", "0,6"),
        "'6' is no frame of tiny: expected an index from 0 to 5",
    ),
    "empty mask to click": (
        with_mask("masks/00002.png", BLANK, annotate("tiny", "--simulate", "masks", "--frames", "2")),
        "are empty in frames '00002'",
    ),
    "SAM 2 on the page without a checkpoint": (
        lambda _: ["annotate", "tiny", "--propagation-model", "sam2", "--out", "out"],
        "the model sam2 needs a parent, a published checkpoint; give it as --parent FILE",
    ),
    "no checkpoint for the page": (
        lambda _: ["annotate", "tiny", "--propagation-model", "sam2", "--parent", "no.pt", "--out", "out"],
        "there is no checkpoint no.pt",
    ),
    "DEXTR without weights": (
        lambda _: annotate("tiny", "--clicks", "clicks.json", "--model", "paper"),
        "the model paper needs weights, .*; give it as --weights FILE",
    ),
    "no weights file": (
        lambda _: annotate("tiny", "--clicks", "clicks.json", "--weights", "none.pth"),
        r"none\.pth",
    ),
    "web page as weights": (
        with_file(
            "w.pth",
            b"<!DOCTYPE html><html></html>",
            annotate("tiny", "--clicks", "clicks.json", "--weights", "w.pth"),
        ),
        r"w\.pth .*web page",
    ),
    "clicks as weights": (
        lambda _: annotate("tiny", "--clicks", "clicks.json", "--weights", "clicks.json"),
        r"clicks\.json is not a checkpoint; expected a \.pth or \.safetensors file, got \.json",
    ),
    "paper without a parent": (
        lambda _: train("masks", "--model", "paper"),
        "the model paper needs a parent, .*; give it as --parent FILE",
    ),
    "code in the weights": (code_in_weights, r"w\.pth"),
    "workspace of another clip": (
        other_clips_workspace,
        r"the workspace out belongs to /x \(6 frames of 64×48\), not to tiny",
    ),
    "workspace is a file": (
        with_file("out", b"x", annotate("tiny")),
        "out is a file; a workspace is a folder",
    ),
    "damaged workspace": (
        with_file("out/workspace.yaml", b"{", annotate("tiny")),
        r"out/workspace\.yaml is damaged",
    ),
    "--frames without --simulate": (
        lambda _: annotate("tiny", "--clicks", "clicks.json", "--frames", "3"),
        "--frames goes with --simulate",
    ),
    "masks as clip": (lambda _: annotate("masks"), "masks holds masks .*, expected frames"),
    "frame twice in the clicks": (
        lambda place: clicks(place, '{"00000": [null], "00000": [null]}'),
        "the key '00000' is there twice",
    ),
    "export over the frames": (
        lambda _: ["export", "tiny", "--masks", "masks", "--sheet", "tiny/00000.png"],
        "would be written over or among",
    ),
    "no keyframes": (lambda _: train("none"), "there are no keyframes none"),
    "folder without masks": (lambda _: train("davis"), "holds no mask PNGs"),
    "mask of no frame": (
        with_mask("masks/00042.png", BLANK, train("masks")),
        r"the mask masks/00042\.png belongs to no frame",
    ),
    "mask of another size": (
        with_mask("masks/00001.png", BLANK[:9], train("masks")),
        r"masks/00001\.png is 64×9 pixels, its frame is 64×48",
    ),
    "anti-aliased mask": (with_mask("masks/00001.png", GREY, train("masks")), "looks anti-aliased"),
    "only empty masks": (with_mask("k/00001.png", BLANK, train("k")), "every mask of k is empty"),
    "mask as keyframes": (
        lambda _: train("masks/00000.png"),
        r"the keyframe mask masks/00000\.png is a file; give its folder masks$",
    ),
    "range beyond the clip": (
        lambda _: train("masks", "--frames", "0-20"),
        r"'0-20' goes beyond the last frame of tiny, 5; did you mean 0-5\?$",
    ),
    "object without a list": (
        lambda place: clicks(place, {"00000": {"extreme": POINTS}}),
        r'one list of points per object; put it into brackets: \[\{"extreme": …\}\]$',
    ),
    "download into a file": (
        lambda _: ["download", "grabcut", "--out", "clicks.json"],
        r"clicks\.json is a file; expected a folder$",
    ),
    "download below a file": (
        lambda _: ["download", "grabcut", "--out", "clicks.json/data"],
        r"clicks\.json is a file; expected a folder$",
    ),
    "no parent": (lambda _: train("masks", "--parent", "none.pth"), r"none\.pth"),
    "broken parent": (
        with_file("p.safetensors", b"\x00" * 50, train("masks", "--parent", "p.safetensors")),
        r"p\.safetensors",
    ),
    "unknown device": (lambda _: train("masks", "--device", "tpu"), "unknown device 'tpu'"),
    "segment without network": (
        lambda _: ["segment", "tiny", "--run", "masks", "--out", "out"],
        "masks is a folder of images, expected a run; give the workspace of the clip",
    ),
    "folder of folders": (
        lambda _: annotate("davis"),
        "davis holds no images, only the folder Annotations; give that",
    ),
    "folder of clips": (
        with_file("clips/a/0.png", b"", ["propagate", "clips", "--keyframes", "masks"]),
        "clips holds no images, only the folder a; give that, or --project clips",
    ),
    "clips beside a text": (
        with_file("davis/note.txt", b"", annotate("davis")),
        "davis holds no images, only the folder Annotations; give that",
    ),
    "export into a file": (
        lambda _: ["export", "tiny", "--masks", "masks", "-o", "clicks.json"],
        r"--out clicks\.json is a file; give a folder",
    ),
    "format into a file of another kind": (
        with_file("s.py", b"x", ["export", "tiny", "--masks", "masks", "--format", "coco", "-o", "s.py"]),
        r"--out s\.py is a file; give a folder, or a file that ends in \.json",
    ),
    "folder of a format in a file": (
        with_file("s", b"x", ["export", "tiny", "--masks", "masks", "--format", "yolo", "-o", "s"]),
        "s is a file, expected a folder",
    ),
    "folder of a format called like a file": (
        lambda _: ["export", "tiny", "--masks", "masks", "--format", "yolo", "-o", "coco.txt"],
        r"coco\.txt is called like a file \(text/plain\), expected a folder",
    ),
    "JSON as labels": (
        lambda _: [
            *("export", "tiny", "--masks", "masks", "--format", "coco"),
            *("--labels", "clicks.json", "-o", "c.json"),
        ],
        r"the label set clicks\.json is a JSON file; expected a text file with one label per line",
    ),
    "import of nothing": (
        lambda _: ["import", "tiny", "none"],
        "there is no none; expected a file or folder",
    ),
    "import without a telling format": (
        lambda _: ["import", "tiny", "clicks.json", "-o", "out"],
        r"clicks\.json does not show its format; give --format, one of masks, objects, coco,",
    ),
    "import of a clip into masks": (
        with_file("coco.json", b'{"images": [], "annotations": []}', ["import", "coco.json", "tiny"]),
        r"coco\.json holds masks, not frames; give the clip first: dextr-vos import CLIP coco\.json",
    ),
    "no frames in the clicks": (lambda place: clicks(place, {}), r"no frames in bad\.json: expected"),
    "nothing to export": (lambda _: ["export", "tiny", "--masks", "masks"], "nothing to export"),
    "masks missing at export": (
        without_file("masks/00003.png", ["export", "tiny", "--masks", "masks", "--video", "out/o.mp4"]),
        r"masks has no masks of 1 of 6 frames .* first 00003\.png",
    ),
    "no DAVIS root": (lambda _: evaluate("--davis-root", "none"), "none"),
    "unknown clip": (lambda _: evaluate("--clips", "bear"), "bear"),
    "missing result": (without_file("results/tiny/00003.png", evaluate()), r"tiny.*00003|00003.*tiny"),
    "result of another size": (
        with_mask("results/tiny/00003.png", BLANK[:9], evaluate()),
        r"tiny.*00003|00003.*tiny",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_and_nothing_left(place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    case, sentence = CASES[name]
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
