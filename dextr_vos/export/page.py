"""One HTML page about a segmented clip that opens anywhere: video, contact sheet, scores."""

import base64
import html
from pathlib import Path
from string import Template
from typing import Any

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError, counted
from dextr_vos.files import read_json, write_text
from dextr_vos.workspace import ResultMasks

Scores = dict[str, Any]

_FIGURES = ("J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay")

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title – dextr-vos</title>
<style>
:root { color-scheme: light dark; --ink: #1d2126; --soft: #68717c; --paper: #f6f5f2;
  --card: #fff; --line: #dedbd4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e1; --soft: #9aa2ab; --paper: #16181b; --card: #1f2226; --line: #34383d; }
}
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.5rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; }
h2 { font-size: 1.05rem; margin: 2.4rem 0 .7rem; }
p { color: var(--soft); margin: .2rem 0; }
video, img { display: block; width: 100%; border-radius: .5rem; background: #000; }
table { border-collapse: collapse; width: 100%; background: var(--card); border-radius: .5rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .75rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
thead th { color: var(--soft); font-weight: 500; }
tr:last-child td { border-bottom: 0; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$summary</p>
$scores
<h2>Every frame</h2>
<video controls loop muted playsinline src="data:video/mp4;base64,$video"></video>
<h2>At a glance</h2>
<img alt="Frames of the clip with their masks, evenly spaced" src="data:image/jpeg;base64,$sheet">
</body>
</html>
""")


def read_scores(path: Path) -> Scores:
    """Read what `evaluate --json` wrote.

    Raises:
        InputError: the file is missing or is something else.
    """
    if not path.exists():
        raise InputError(f"there are no scores {path}; write them with evaluate --json")
    try:
        scores: Scores = read_json(path)
        _score_tables(scores)
    except (InputError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        raise InputError(f"{path} holds no scores; give a file written by evaluate --json") from None
    return scores


def check_page_suffix(path: Path) -> None:
    """Refuse a page under the suffix of something else.

    Raises:
        InputError: it is not called `.html`.
    """
    if path.suffix.lower() != ".html":
        raise InputError(f"the page {path} must end in .html")


def write_page(
    path: Path, clip: Clip, masks: ResultMasks, video: Path, sheet: Path, scores: Scores | None
) -> None:
    """Write the page atomically, everything inside the one file.

    Args:
        path: file to write.
        clip: gives the name and the number of frames.
        masks: says which frames are keyframes.
        video: overlay video, MP4.
        sheet: contact sheet, JPEG.
        scores: see `read_scores`; None leaves them out.

    Raises:
        InputError: another suffix.
    """
    check_page_suffix(path)
    write_text(
        path,
        _PAGE.substitute(
            title=html.escape(clip.path.resolve().stem),
            summary=html.escape(_summary(clip, masks)),
            scores="" if scores is None else _score_tables(scores),
            video=base64.b64encode(video.read_bytes()).decode("ascii"),
            sheet=base64.b64encode(sheet.read_bytes()).decode("ascii"),
        ),
    )


def _summary(clip: Clip, masks: ResultMasks) -> str:
    if masks.keyframes is None:
        return counted(len(clip), "frame")
    names = sorted(masks.keyframes)
    annotated = ", ".join(names) if len(names) <= 12 else f"{len(names)} of them"
    return f"{counted(len(clip), 'frame')}, annotated: {annotated}"


def _score_tables(scores: Scores) -> str:
    tables = ["<h2>Scores, all frames but the first and the last</h2>", _table(scores["all_frames"])]
    if scores.get("without_keyframes"):
        tables += ["<h2>Of these, frames without a keyframe</h2>", _table(scores["without_keyframes"])]
    return "\n".join(tables)


def _table(block: dict[str, Any]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("Object", *_FIGURES))
    body = "".join(
        f"<tr><td>{html.escape(name)}</td>{''.join(f'<td>{value:.3f}</td>' for value in values)}</tr>"
        for name, values in _rows(block)
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _rows(block: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """Objects, and their mean where there are several, with the figures of the columns."""
    objects = list(block["objects"].items())
    named = objects if len(objects) == 1 else [*objects, ("mean", block["overall"])]
    return [
        (
            name,
            [
                (float(entry["J"]["mean"]) + float(entry["F"]["mean"])) / 2,
                *(
                    float(entry[measure][figure])
                    for measure in "JF"
                    for figure in ("mean", "recall", "decay")
                ),
            ],
        )
        for name, entry in named
    ]
