"""How much one click improves propagated masks.

python scripts/measure_corrections.py RESULTS DAVIS_ROOT [--clips a,b] [--most 200] [--weights FILE]

RESULTS holds CLIP/00000.png or CLIP/masks/00000.png, as results on DAVIS and `dextr-vos propagate` have them.
Of the masks whose IoU is between --low and --high, at most --most, evenly spread, get clicks in the middle of
their largest error.
"""

import argparse
from pathlib import Path

import numpy as np

from dextr_vos.annotation.corrections import next_correction
from dextr_vos.annotation.prompts import Prompt
from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.datasets.davis import Davis
from dextr_vos.evaluation.interactive import mask_iou
from dextr_vos.images import read_image
from dextr_vos.masks import read_labels
from dextr_vos.workspace import ResultMasks


def main() -> None:
    """Print the mean IoU before and after."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("davis_root", type=Path)
    parser.add_argument("--clips", default="")
    parser.add_argument("--low", type=float, default=0.6)
    parser.add_argument("--high", type=float, default=0.8)
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--clicks", type=int, default=3)
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    davis = Davis(given.davis_root)
    clips = given.clips.split(",") if given.clips else davis.available_clips()
    found = [(clip, *mask) for clip in clips for mask in masks_between(davis, clip, given)]
    if not found:
        raise SystemExit("no mask has an IoU in the range; take another --low and --high")
    chosen = [
        found[place] for place in np.linspace(0, len(found) - 1, min(given.most, len(found))).astype(int)
    ]
    segmenter = load_segmenter(weights=given.weights)
    rows = np.array([corrected(segmenter, davis, *one, given.clicks) for one in chosen])
    print(f"{len(chosen)} of {len(found)} masks of {len(clips)} clips, IoU {rows[:, 0].mean():.3f}")
    for clicks in range(1, given.clicks + 1):
        gain = rows[:, clicks] - rows[:, 0]
        print(f"after {clicks}: {gain.mean():+.3f}, {np.mean(gain < 0):.0%} of the masks worse than before")


def masks_between(davis: Davis, clip: str, given: argparse.Namespace) -> list[tuple[str, np.ndarray]]:
    """Names and masks of the frames whose IoU is in range, the first frame left out."""
    files = ResultMasks.find(given.results / clip).files()
    kept = []
    for path in davis.annotation_paths(clip)[1:]:
        truth = davis.read_annotation(path) == 1
        if path.stem not in files or not truth.any():
            continue
        mask = read_labels(files[path.stem]) == 1
        if given.low <= mask_iou(mask, truth, np.zeros_like(truth)) <= given.high:
            kept.append((path.stem, mask))
    return kept


def corrected(segmenter, davis: Davis, clip: str, name: str, mask: np.ndarray, clicks: int) -> list[float]:
    """IoU before, and after each click."""
    images = {path.stem: path for path in davis.frame_paths(clip)}
    truths = {path.stem: path for path in davis.annotation_paths(clip)}
    image, truth = read_image(images[name]), davis.read_annotation(truths[name]) == 1
    void, prompt, prob = np.zeros_like(truth), Prompt(), mask.astype(np.float32)
    ious = [mask_iou(mask, truth, void)]
    for _ in range(clicks):
        click = next_correction(prob > segmenter.threshold, truth, void, before=prompt.clicks)
        if click is not None:
            prompt = Prompt(clicks=(*prompt.clicks, click), mask=prob)
            (prob,) = segmenter.prompted(image, [prompt])
        ious.append(mask_iou(prob > segmenter.threshold, truth, void))
    return ious


if __name__ == "__main__":
    main()
