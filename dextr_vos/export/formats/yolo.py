"""YOLO's format for segmentation, as Ultralytics reads it: a text file an image, a polygon an object.

Each line is a class and x, y of the polygon's points as shares of the image. It runs through the centres of
border pixels, which Ultralytics' and supervision's readers draw exactly. Parts of one object are joined by
cuts of no width, as Ultralytics does it when it converts COCO; the readers draw a line of one pixel there.
"""

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

from dextr_vos.errors import ConfigError, InputError
from dextr_vos.export.formats.imported import ImportedFrame, ImportedMask, Size, faults_of, files_in
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClips, OnFrame
from dextr_vos.export.formats.outlines import centre_polygons, joined, mask_of_centres
from dextr_vos.files import read_text, write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import object_ids
from dextr_vos.yaml_text import parse_yaml

# added to column and row of a pixel: Ultralytics cuts fractions off, supervision rounds; both get the pixel
_INSIDE = 0.25
_CLASSES = "classes.txt"
_SUBSETS = (("train",), ("valid",), ("val",), ("test",))


def write_yolo(folder: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write `data.yaml`, `labels/train/*.txt` and, with images, `images/train/*`.

    Args:
        folder: to fill.
        data: the clips; of several, each has a folder of its own in `train`.
        options: whether to write the frames.
        on_frame: called with the number of frames done and of all frames.
    """
    classes = {name: number for number, name in enumerate(data.categories)}
    # without `path`, readers look beside data.yaml; with ".", in the folder where they are run
    content = {"train": "images/train", "val": "images/train"}
    text = io.StringIO()
    YAML().dump({**content, "names": {number: name for name, number in classes.items()}}, text)
    write_text(folder / "data.yaml", text.getvalue())
    for clip, index, labels in data.frames(on_frame):
        lines = []
        for object_id in object_ids(labels):
            polygon = np.array(joined(centre_polygons(labels == object_id)), dtype=np.float64)
            shares = (polygon + _INSIDE) / (labels.shape[1], labels.shape[0])
            numbers = " ".join(f"{value:.6f}" for value in shares.ravel())
            lines.append(f"{classes[clip.objects[object_id].category]} {numbers}\n")
        name = Path(data.image_name(clip, index))
        write_text(folder / "labels" / "train" / name.with_suffix(".txt"), "".join(lines))
        if options.images:
            clip.write_image(index, folder / "images" / "train" / name)


def read_yolo(folder: Path) -> list[ImportedFrame]:
    """The annotated frames of all text files of `labels`, or of a `labels` in each subset.

    Boxes without polygons are refused.

    Raises:
        InputError: there are none, or `data.yaml` is damaged.
    """
    names = _names(folder)
    frames = []
    for file in files_in(folder, "*.txt", "YOLO"):
        above = file.relative_to(folder).parts[:-1]
        subset_first = above[:1] in _SUBSETS and above[1:2] == ("labels",)
        if file.name == _CLASSES or not (subset_first or above[:1] == ("labels",)):
            continue  # lists of images and classes
        with faults_of(file, "YOLO"):
            masks = []
            for line in filter(str.strip, read_text(file).splitlines()):
                number, *values = line.split()
                if len(values) < 6 or len(values) % 2:
                    raise ValueError(f"a line has {len(values)} numbers after the class, expected a polygon")
                shares = np.array(values, dtype=np.float64).reshape(-1, 2)
                name = names.get(int(number), f"class {number}")
                masks.append(ImportedMask(name=name, read=partial(_mask, shares)))
        video = above[-1] if len(above) > 2 else None
        frames.append(ImportedFrame(file.stem, tuple(masks), video, source=str(file)))
    if not frames:
        raise InputError(f"{folder} holds no labels/*.txt; expected the folder of an export as YOLO")
    return frames


def _mask(shares: npt.NDArray[np.float64], size_hw: Size) -> BoolArray:
    return mask_of_centres([shares * (size_hw[1], size_hw[0])], size_hw)


def _names(folder: Path) -> dict[int, str]:
    """Names of classes, of `data.yaml` or else of each `classes.txt`, a name a line; none without either."""
    files = [file for suffix in ("yaml", "yml") for file in folder.glob(f"*.{suffix}")]
    files.sort(key=lambda file: (file.stem != "data", file.name))
    if not files:
        return _listed(sorted(folder.rglob(_CLASSES)))
    try:
        content: Any = parse_yaml(read_text(files[0]), str(files[0]))[0]
        names = content["names"]
        return {int(number): str(name) for number, name in _pairs(names)}
    except (ConfigError, InputError, KeyError, TypeError, ValueError, ArithmeticError):
        raise InputError(f"{files[0]} names no classes; expected the data.yaml of a YOLO data set") from None


def _listed(files: list[Path]) -> dict[int, str]:
    """Names of classes by line; none without a file.

    Raises:
        InputError: files differ, as where folders were annotated apart.
    """
    names = [dict(enumerate(read_text(file).splitlines())) for file in files]
    other = next((file for file, each in zip(files, names, strict=True) if each != names[0]), None)
    if other is not None:
        raise InputError(f"{files[0]} and {other} name other classes; give one folder of labels alone")
    return names[0] if names else {}


def _pairs(names: Any) -> list[tuple[Any, Any]]:
    return list(names.items()) if isinstance(names, dict) else list(enumerate(names))
