"""Bad input by the dozen: each gets one clear sentence and status 2, and leaves nothing behind.

`pytest tests/cli -k one_sentence --log-cli-level=INFO` shows all the sentences.
"""

from pathlib import Path

import pytest
from bad_input import (
    BLANK,
    GREY,
    Case,
    check,
    code_in_weights,
    evaluate,
    train,
    with_file,
    with_mask,
    without_file,
)

CASES: dict[str, tuple[Case, str]] = {
    "mistyped folder of the clip": (
        with_file("frames/dog/0.png", b"", ["propagate", "frame/dog", "--keyframes", "masks"]),
        r"no clip frame/dog; .*; did you mean frames/dog\?",
    ),
    "address to propagate": (
        lambda _: ["propagate", "https://example.com/a.mp4", "--keyframes", "masks"],
        r"cannot open https://example\.com/a\.mp4: addresses are not read; download the video first$",
    ),
    "pictures to propagate": (
        lambda _: ["propagate", "tiny/00000.png", "tiny/00001.png", "--keyframes", "masks"],
        "00000.png is a single image; .*; give the folder tiny$",
    ),
    "pictures to segment": (
        lambda _: ["segment", "tiny/00000.png", "tiny/00001.png", "--run", "masks", "--out", "out"],
        "give the folder tiny, not its files; see .*segment --help$",
    ),
    "run to propagate": (
        with_mask("r/masks/0.png", BLANK, ["propagate", "r"], beside="r/run.json"),
        "r is a run; give the clip or its workspace$",
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
    "paper without a parent": (
        lambda _: train("masks", "--model", "paper"),
        "the model paper needs a parent, .*; give it as --parent FILE",
    ),
    "code in the weights": (code_in_weights, r"w\.pth"),
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
    "folder of clips": (
        with_file("clips/a/0.png", b"", ["propagate", "clips", "--keyframes", "masks"]),
        "clips holds no images, only the folder a; give that, or --project clips",
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
    check(place, name, *CASES[name])
