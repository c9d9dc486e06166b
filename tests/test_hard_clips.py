"""scripts/make_hard_clips.py, on a green square that moves to the left."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dextr_vos.datasets.davis import Davis
from dextr_vos.images import read_image, write_image
from dextr_vos.masks import write_labels

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_hard_clips.py"
SIZE_HW, SIDE, FRAMES = (80, 200), 24, 40


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root, out = tmp_path_factory.mktemp("davis"), tmp_path_factory.mktemp("out")
    for index in range(FRAMES):
        mask = np.zeros(SIZE_HW, np.uint8)
        mask[30 : 30 + SIDE, 110 - index : 110 - index + SIDE] = 1
        image = np.full((*SIZE_HW, 3), 90, np.uint8)
        image[mask > 0] = (20, 200, 20)
        folder = root / "JPEGImages" / "480p" / "square"
        folder.mkdir(parents=True, exist_ok=True)
        write_image(folder / f"{index:05d}.png", image)
        write_labels(root / "Annotations" / "480p" / "square" / f"{index:05d}.png", mask)
    subprocess.run([sys.executable, SCRIPT, root, out, "--clips", "square"], check=True)

    def frames(kind):
        davis = Davis(root if kind == "source" else out / kind)
        return [
            (read_image(image).astype(int), davis.read_annotation(path) == 1)
            for image, path in zip(davis.frame_paths("square"), davis.annotation_paths("square"), strict=True)
        ]

    return frames


def green(image):
    return image[..., 1] - image[..., 0] > 90


def test_the_object_meets_itself_and_is_never_hidden(made):
    clip = made("look-alike")
    others = [green(image) & ~mask for image, mask in clip]
    for (image, mask), (_, truth), other in zip(clip, made("source"), others, strict=True):
        assert np.array_equal(mask, truth)
        assert green(image)[mask].mean() > 0.9
        assert other.sum() < mask.sum()
    aside = [
        np.nonzero(other)[1].mean() - np.nonzero(mask)[1].mean()
        for (_, mask), other in zip(clip, others, strict=True)
        if other.sum() > 100
    ]
    assert aside[0] > SIDE
    assert aside[-1] < -SIDE
    assert min(other.sum() for other in others) < 100  # behind the object


def test_the_object_comes_in_across_the_border(made):
    masks = [mask for _, mask in made("entering")]
    assert 0.25 < masks[0].sum() / SIDE**2 < 0.45
    assert masks[0][:, -1].any()
    assert masks[25].sum() == SIDE**2


def test_the_object_comes_out_from_behind_a_bar(made):
    clip = made("hidden")
    areas = [mask.sum() / SIDE**2 for _, mask in clip]
    assert areas[0] == pytest.approx(0.5, abs=0.05)
    assert areas[-1] == 1
    assert areas == sorted(areas)
    for image, mask in clip:
        assert (green(image) & ~mask).sum() < 0.1 * SIDE**2
