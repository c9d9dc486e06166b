"""Data sets of a few small images in the exact layouts of the published ones.

Each maker writes below `root` and returns the folder to hand over. Images show coloured shapes, side by side,
on a textured background.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dextr_vos.masks import write_labels

SIZE_HW = (72, 96)
COLOURS = ((210, 60, 50), (60, 90, 220), (230, 200, 60), (160, 60, 190))


def scene(seed: int, objects: int = 2, size_hw: tuple[int, int] = SIZE_HW) -> tuple[np.ndarray, np.ndarray]:
    """An image, H×W×3 uint8, and the numbers of its shapes, H×W uint8."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    coarse = rng.integers(40, 130, (height // 6, width // 6, 1), dtype=np.uint8).repeat(3, axis=2)
    rgb = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    labels = np.zeros(size_hw, dtype=np.uint8)
    slot = width // objects
    for number in range(1, objects + 1):
        shape = np.zeros(size_hw, dtype=np.uint8)
        middle = (slot * (number - 1) + slot // 2, height // 2 + int(rng.integers(-6, 7)))
        half = (int(rng.integers(slot // 5, slot // 3)), int(rng.integers(height // 6, height // 3)))
        kind = (seed + number) % 3
        if kind == 0:
            cv2.ellipse(shape, middle, half, 0, 0, 360, 1, -1)
        else:
            (x, y), (dx, dy) = middle, half
            corners = [(x - dx, y - dy), (x + dx, y - dy), (x + dx, y + dy), (x - dx, y + dy)]
            if kind == 2:
                corners = [(x, y - dy), (x + dx, y + dy), (x - dx, y + dy)]
            cv2.fillPoly(shape, [np.array(corners, dtype=np.int32)], 1)
        labels[shape == 1] = number
        noise = rng.integers(-20, 21, (int(shape.sum()), 1))
        rgb[shape == 1] = np.clip(np.array(COLOURS[(seed + number) % len(COLOURS)]) + noise, 0, 255)
    return rgb, labels


def outlined(labels: np.ndarray) -> np.ndarray:
    """Labels with 255 one pixel to both sides of every edge, as VOC has them."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    edge = cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)
    return np.where(edge, 255, labels).astype(np.uint8)


def save(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def voc_names(count: int, first: int = 1) -> list[str]:
    return [f"2007_{number:06d}" for number in range(first, first + count)]


def make_voc(
    root: Path,
    train: Sequence[str] | int = 4,
    val: Sequence[str] | int = 2,
    *,
    objects: int = 2,
    size_hw: tuple[int, int] = SIZE_HW,
) -> Path:
    """VOC 2012 of the images named, or of so many; object n of an image has class n."""
    train = voc_names(train) if isinstance(train, int) else train
    val = voc_names(val, first=1001) if isinstance(val, int) else val
    folder = root / "VOCdevkit" / "VOC2012"
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, names in {"train": train, "val": val, "trainval": [*train, *val]}.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    for name in [*train, *val]:
        rgb, labels = scene(int(name[-6:]), objects, size_hw)
        save(folder / "JPEGImages" / f"{name}.jpg", rgb)
        # classes are the numbers: both images hold the same values
        for kind in ("SegmentationObject", "SegmentationClass"):
            write_labels(folder / kind / f"{name}.png", outlined(labels))
    return root / "VOCdevkit"


def make_sbd(
    root: Path,
    train: Sequence[str] | int = 3,
    val: Sequence[str] | int = 2,
    *,
    objects: int = 2,
    size_hw: tuple[int, int] = SIZE_HW,
) -> Path:
    """SBD of the images named, or of so many; object n of an image has class n + 1."""
    from scipy.io import savemat

    train = voc_names(train, first=2001) if isinstance(train, int) else train
    val = voc_names(val, first=3001) if isinstance(val, int) else val
    folder = root / "benchmark_RELEASE" / "dataset"
    for name in ("inst", "cls", "img"):
        (folder / name).mkdir(parents=True)
    for split, names in {"train": train, "val": val}.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    for name in [*train, *val]:
        rgb, labels = scene(int(name[-6:]), objects, size_hw)
        save(folder / "img" / f"{name}.jpg", rgb)
        classes = np.arange(2, objects + 2, dtype=np.uint8)[:, None]
        edges = np.empty((objects, 1), dtype=object)
        edges[:, 0] = [labels == number for number in range(1, objects + 1)]
        instances = {"Boundaries": edges, "Segmentation": labels, "Categories": classes}
        savemat(folder / "inst" / f"{name}.mat", {"GTinst": instances}, do_compression=True)
        whole = {"Segmentation": np.where(labels, labels + 1, 0).astype(np.uint8)}
        savemat(folder / "cls" / f"{name}.mat", {"GTcls": whole}, do_compression=True)
    return root / "benchmark_RELEASE"


def make_coco(root: Path, split: str = "val2017", count: int = 3) -> Path:
    """COCO with two objects an image, a cat as polygon and a dog as run lengths, and one crowd."""
    images, annotations = [], []
    for index in range(count):
        rgb, labels = scene(index)
        name = f"{index + 1:012d}.jpg"
        save(root / split / name, rgb)
        images.append({"id": index + 1, "file_name": name, "height": SIZE_HW[0], "width": SIZE_HW[1]})
        for number, category in ((1, 17), (2, 18)):
            mask = (labels == number).astype(np.uint8)
            contour = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0][:, 0]
            annotations.append(
                {
                    # ids of an image are not in order in COCO's files either
                    "id": 100 * index + 10 - number,
                    "image_id": index + 1,
                    "category_id": category,
                    "iscrowd": 0,
                    "area": float(mask.sum()),
                    "segmentation": (
                        [(contour + 0.5).ravel().tolist()] if number == 1 else _run_lengths(mask)
                    ),
                }
            )
    crowd = _run_lengths(np.ones(SIZE_HW, dtype=np.uint8))
    annotations.append(
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 1, "area": 6912.0, "segmentation": crowd}
    )
    categories = [{"id": 1, "name": "person"}, {"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return root


def _run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """Uncompressed run lengths, by columns and beginning with zeros."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": list(mask.shape)}


def make_davis(
    root: Path,
    clips: Sequence[str] = ("bear", "dog"),
    frames: int = 4,
    *,
    year: int = 2017,
    split: str = "val",
) -> Path:
    """DAVIS with two objects a frame, or one and no numbers for 2016."""
    for place, clip in enumerate(clips):
        for index in range(frames):
            rgb, labels = scene(100 * place + index, 2 if year == 2017 else 1)
            save(root / "JPEGImages" / "480p" / clip / f"{index:05d}.jpg", rgb)
            path = root / "Annotations" / "480p" / clip / f"{index:05d}.png"
            if year == 2017:
                write_labels(path, labels)
            else:
                save(path, labels * 255)
    path = root / "ImageSets" / str(year) / f"{split}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{clip}\n" for clip in clips))
    return root


def make_grabcut(root: Path, count: int = 3) -> Path:
    """The GrabCut data set: 255 object, 128 along its outline, 0 background."""
    for index in range(count):
        rgb, labels = scene(index, 1)
        truth = outlined(labels * 200)
        save(root / "data_GT" / f"shape{index}.jpg", rgb)
        grey = np.choose(np.searchsorted([0, 200, 255], truth), [0, 255, 128]).astype(np.uint8)
        save(root / "boundary_GT" / f"shape{index}.bmp", grey)
    return root
