"""Bad input of `annotate`: clips, clicks and settings."""

from pathlib import Path

import pytest
from bad_input import (
    BLANK,
    POINTS,
    Case,
    annotate,
    check,
    clicks,
    cut_picture,
    other_clips_workspace,
    other_size,
    run_of_workspace,
    two_clips,
    with_file,
    with_mask,
)

CASES: dict[str, tuple[Case, str]] = {
    "no clip": (lambda _: annotate("nowhere"), "there is no clip nowhere; .* or a video file$"),
    "mistyped clip": (
        lambda _: annotate("tinny"),
        r"no clip tinny; expected a folder of images or a video file; did you mean tiny\?",
    ),
    "mistyped video": (
        with_file("films/holiday.mp4", b"", annotate("films/hollyday")),
        r"no clip films/hollyday; .*; did you mean films/holiday\.mp4\?",
    ),
    "address as clip": (
        lambda _: annotate("https://example.com/a.mp4"),
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
    "run as clip": (
        with_file("work/dog/propagation/run.json", b"{}", annotate("work/dog/propagation")),
        "work/dog/propagation is a run; give the clip or its workspace$",
    ),
    "run of a workspace as clip": (
        run_of_workspace,
        "out/propagation is a run; give the clip or its workspace out$",
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
    "clicks into the clip's folder": (
        lambda _: ["annotate", "tiny", "--clicks", "clicks.json", "--model", "grabcut", "-o", "tiny"],
        "the workspace tiny is the clip's own folder, .* give another, such as work/tiny",
    ),
    "page in the clip's folder": (
        lambda _: ["annotate", "tiny", "--no-open", "-o", "tiny"],
        "the workspace tiny is the clip's own folder",
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
    "object without a list": (
        lambda place: clicks(place, {"00000": {"extreme": POINTS}}),
        r'one list of points per object; put it into brackets: \[\{"extreme": …\}\]$',
    ),
    "folder of folders": (
        lambda _: annotate("davis"),
        "davis holds no images, only the folder Annotations; give that",
    ),
    "clips beside a text": (
        with_file("davis/note.txt", b"", annotate("davis")),
        "davis holds no images, only the folder Annotations; give that",
    ),
    "no frames in the clicks": (lambda place: clicks(place, {}), r"no frames in bad\.json: expected"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_and_nothing_left(place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    check(place, name, *CASES[name])
