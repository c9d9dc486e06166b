"""Time to score a frame, with reading its files, by this package and by the official functions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from dextr_vos.benchmark.speed.timing import Workload
from dextr_vos.datasets.davis import Davis
from dextr_vos.datasets.synthetic import SyntheticClip
from dextr_vos.errors import InputError
from dextr_vos.evaluation.davis import ScoringRules, evaluate_davis
from dextr_vos.evaluation.official import largest_difference, official_clip_scores, official_functions
from dextr_vos.evaluation.scores import ObjectScores
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.workspace import ResultMasks

_FRAMES = 40


@dataclass(frozen=True)
class Scoring:
    """Masks on disk that both scorers can read: DAVIS 2017, one object a clip.

    Attributes:
        davis: true masks.
        results: the masks to score.
        clips: names of the clips.
        frames: number of scored frames.
    """

    davis: Davis
    results: Path
    clips: tuple[str, ...]
    frames: int

    def ours(self) -> list[ObjectScores]:
        """Scores by this package, on one core."""
        rules = ScoringRules(2017)
        return list(evaluate_davis(self.davis, self.results, self.clips, rules, workers=1).objects)

    def official(self) -> list[ObjectScores]:
        """Scores by the official package, read as its script reads."""
        return [one for clip in self.clips for one in official_clip_scores(self.davis, self.results, clip)]


@contextmanager
def scoring_masks(
    davis_root: Path | None, results: Path | None, size_hw: tuple[int, int]
) -> Iterator[Scoring]:
    """Masks to score, in a folder that is removed at the end.

    DAVIS 2016 has its masks as {0, 255}, which the official functions of 2017 take for void: they are written
    again as {0, 1}, results too.

    Args:
        davis_root: clips of DAVIS; None renders one.
        results: results on them, `<clip>/<frame>.png`.
        size_hw: of the rendered one.

    Raises:
        InputError: a file is missing.
    """
    with TemporaryDirectory(prefix="dextr-vos-") as folder:
        root = Path(folder)
        if davis_root is None or results is None:
            pairs = {"rendered": list(_rendered(size_hw))}
        else:
            pairs = _real(Davis(davis_root), results)
        for clip, frames in pairs.items():
            for index, (truth, mask) in enumerate(frames):
                name = f"{index:05d}.png"
                write_labels(root / "Annotations" / "480p" / clip / name, truth.astype(np.uint8))
                write_labels(root / "results" / clip / name, mask.astype(np.uint8))
            (root / "JPEGImages" / "480p" / clip).mkdir(parents=True)
        lists = root / "ImageSets" / "2017"
        lists.mkdir(parents=True)
        (lists / "val.txt").write_text("".join(f"{clip}\n" for clip in pairs))
        scored = sum(len(frames) - 2 for frames in pairs.values())
        yield Scoring(Davis(root), root / "results", tuple(pairs), scored)


def scoring_workloads(scoring: Scoring) -> tuple[list[Workload], float | None]:
    """Our scorer and, where it is installed, the official one; the largest difference between the two."""
    cv2.setNumThreads(1)
    workloads = [Workload("scoring a frame", "dextr-vos, files read", "", scoring.ours, scoring.frames)]
    try:
        official_functions()
    except InputError:
        return workloads, None
    workloads.append(
        Workload("scoring a frame", "official functions, files read", "", scoring.official, scoring.frames)
    )
    return workloads, largest_difference(scoring.ours(), scoring.official())


def _rendered(size_hw: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """True masks of a rendered clip, and results that deviate from them a little."""
    scene = SyntheticClip.make(size_hw, _FRAMES, 0)
    for index in range(_FRAMES):
        truth = scene.render(index)[1] > 0
        mask = cv2.erode(np.roll(truth, index % 9, axis=1).astype(np.uint8), np.ones((3, 5), np.uint8))
        yield truth, mask > 0


def _real(davis: Davis, results: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    clips = [clip for clip in davis.available_clips() if (results / clip).is_dir()]
    if not clips:
        raise InputError(
            f"{results} holds no folder with the name of a clip of {davis.root}; expected CLIP/FRAME.png"
        )
    pairs = {}
    for clip in clips:
        truths = davis.annotation_paths(clip)
        found = ResultMasks.find(results / clip)
        # the first and last frame are not scored, and results may lack them
        masks = [found.mask_path(path.stem) for path in truths]
        pairs[clip] = [
            (read_labels(truth) == 1, read_labels(mask if mask.exists() else truth) > 0)
            for truth, mask in zip(truths, masks, strict=True)
        ]
    return pairs
