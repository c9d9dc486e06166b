"""Which format a file or folder of masks has, where that is unmistakable."""

from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.files import read_json
from dextr_vos.mask_file import MASK_SUFFIXES


def guess_format(path: Path) -> str | None:
    """The format of a file or folder, one of `FORMATS`; None where it may be several, or none."""
    if path.is_dir():
        return _of_folder(path)
    if path.suffix.lower() == ".xml":
        return _of_xml(path)
    return _of_json(path) if path.suffix.lower() == ".json" else None


def guess_inside(folder: Path) -> str | None:
    """The format of what lies in a folder, or in one alone in it; None where it may have several."""
    found = guess_format(folder)
    if found is not None:
        return found
    inside = list(folder.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        found = guess_inside(inside[0])
        return None if found == "masks" else found  # may be a folder of an object
    formats = {guess_format(file) for file in folder.rglob("*") if file.is_file()} - {None}
    return formats.pop() if len(formats) == 1 else None


def _of_folder(folder: Path) -> str | None:
    if (folder / "SegmentationObject").is_dir():
        return "voc"
    if any((folder / subset / "meta.json").is_file() for subset in (".", "train", "valid")):
        return "youtube-vos"
    if (folder / "Annotations").is_dir():
        return "davis"
    if any((folder / subset / "labels").is_dir() for subset in (".", "train", "valid", "val", "test")):
        return "yolo"
    jsons = sorted(folder.rglob("*.json"))
    found = _of_json(jsons[0]) if jsons else None
    if found in ("labelme", "label-studio"):  # the others are files
        return found
    return "masks" if any(file.suffix.lower() in MASK_SUFFIXES for file in folder.iterdir()) else None


def _of_xml(file: Path) -> str | None:
    """CVAT alone is read; its two formats differ in how frames are stored."""
    with file.open("rb") as opened:
        start = opened.read(100_000)
    if b"<annotations" not in start:
        return None
    return "cvat-video" if b"<track" in start else "cvat-images" if b"<image" in start else None


def _of_json(file: Path) -> str | None:
    try:
        content = read_json(file)
    except (InputError, OSError):
        return None
    if isinstance(content, dict):
        named = {"coco": {"images", "annotations"}, "labelme": {"imagePath", "shapes"}}
        return next((name for name, keys in named.items() if keys <= content.keys()), None)
    tasks = content if isinstance(content, list) else []
    return (
        "label-studio" if tasks and all(isinstance(task, dict) and "data" in task for task in tasks) else None
    )
