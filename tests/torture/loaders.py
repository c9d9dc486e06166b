"""Every loader of the package, with a good file for it: what the fuzzers damage, and how."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from conftest import tiny_frame, tiny_mask, write_tiny_clip
from made_videos import write_video
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from tiny_page import POINTS, make_service, open_page

from dextr_vos.annotation.annotations import Annotations, load_annotations
from dextr_vos.annotation.clicks import read_clicks
from dextr_vos.annotation.human_clicks import read_human_clicks
from dextr_vos.annotation.label_set import read_labels_file
from dextr_vos.benchmark.run import read_grid
from dextr_vos.benchmark.settings import BenchmarkSettings
from dextr_vos.benchmark.table import COLUMNS, read_table
from dextr_vos.clip import open_clip
from dextr_vos.config import Settings, load_settings
from dextr_vos.datasets.coco import CocoObjects
from dextr_vos.datasets.folder import FolderDescription, read_polygons
from dextr_vos.datasets.instances import ObjectRef
from dextr_vos.datasets.layout import read_list
from dextr_vos.datasets.pascal import read_instances
from dextr_vos.export.formats.labelled import labelled_clip, labelled_clips, read_label_set
from dextr_vos.export.formats.registry import FORMATS, FormatOptions, write_format
from dextr_vos.export.importing import FrameMatch, read_import
from dextr_vos.export.page import read_scores
from dextr_vos.images import read_header, read_image
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.networks.checkpoint_file import read_metadata, tensor_names
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.propagation.trained_network import network_record
from dextr_vos.run_files import keyframe_names, read_confidence, read_record, shot_names
from dextr_vos.training.checkpoint_folder import Checkpoint, TrainingFolder
from dextr_vos.training.dextr_settings import DextrSettings
from dextr_vos.training.parent import ParentSettings
from dextr_vos.web.image_folder.files import FolderSettings, ProgressFile
from dextr_vos.web.journal import History, apply_diff
from dextr_vos.workspace import ResultMasks, Workspace

_MASKS = ("png", "tif", "webp", "npy")
_FRAMES = ("png", "jpg", "tif", "webp", "bmp", "ppm", "tga", "jp2", "gif")

FIGURES = {"mean": 0.5, "recall": 0.5, "decay": 0.1}
CELL = {"clip": "dog", "supervision": "gt", "keyframes": 1, "choose": "even", "model": "lite", "seed": 0}
RECORD = {
    "model": "lite",
    "clip": {"path": "a", "frames": 6, "size_hw": [48, 64], "identity": "b"},
    "objects": [{"id": 1, "name": "dog"}],
    "keyframes": ["00000"],
    "longest_side": None,
    "settings": {},
    "parent": None,
    "seed": 1,
    "training": {"steps": 1, "stop": "step limit", "loss": 0.5, "seconds": 1.0},
    "fingerprint": "c",
    "spans": [{"first": "00001", "last": "00005", "before": "00000", "after": None, "digest": "d"}],
    "cuts": ["00003"],
}
SHAPES = [
    {"id": kind, "type": f"{kind}labels", "original_width": 64, "original_height": 48}
    | {"value": value | {f"{kind}labels": ["dog"]}}
    for kind, value in (
        ("polygon", {"points": [[10.5, 10], [50, 12], [40, 60.25]]}),
        ("ellipse", {"x": 70, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 30}),
    )
]
ELLIPSE = (
    '<annotations><image id="0" name="00000.png" width="64" height="48">'
    '<ellipse label="dog" cx="30.5" cy="20" rx="9" ry="5" rotation="30" z_order="0"/></image></annotations>'
)
YAML = {
    "dextr.yaml": "out: a\ndata: [{kind: voc, root: b}]\nloop: {steps: 9}\njitter: 0.5\n",
    "parent.yaml": "out: a\nclips: [{kind: davis, root: b}]\nsizes_hw: [[64, 64]]\nloop: {steps: 9}\n",
    "benchmark.yaml": "davis_root: a\nsupervision: [gt]\nkeyframes: [1, 2]\nrecipe: {lite: {max_steps: 4}}\n",
    "data.yaml": "images: a\nlabels: b\nobjects: [{name: car, values: [8], parts: true}]\nvoid: [11]\n",
}

# parts that parsers stumble over
PARTS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 2000, b"{" * 2000, b"9" * 5000, b"NaN", b"1e999", b"-1"),
    *(b'"\\ud800"', b"null", b"[]", b"{}", b"&a [*a]", b"*a", b"!!int x", b"2026-13-45", b"<<: *a"),
    *(b"\n---\n", b"\xff" * 8, b"\x7f\xff\xff\xff", b"\0" * 8, b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;"),
    *(b"../../x", b"0.5", b'"', b"-0", b"99999999", b"true", b"\xed\xa0\x80"),
)
# where, how many bytes there go, what comes in their place and how often; None: the bytes themselves
Change = tuple[int, int, bytes | None, int]


def changed(content: bytes, changes: Sequence[Change]) -> bytes:
    """A file's content with changes made to it one after the other."""
    for place, length, part, count in changes:
        place %= len(content) + 1
        end = place + length
        put = content[place:end] if part is None else part
        content = content[:place] + put * count + content[end:]
    return content


def drawn_changes(rng: random.Random) -> list[Change]:
    """One to four changes, drawn at random."""
    return [
        (
            rng.randrange(1 << 20),
            rng.choice((0, 1, 1, 4, 64)),
            rng.choice((None, rng.randbytes(rng.randrange(3)), rng.choice(PARTS))),
            rng.choice((1, 1, 2, 50)),
        )
        for _ in range(rng.randint(1, 4))
    ]


class Loader(NamedTuple):
    """The file among the seeds that is damaged, and what reads it, given its path and the folder of seeds."""

    file: str
    read: Callable[[Path, Path], object]


def write_seeds(root: Path) -> Path:
    """One good file for each loader."""
    root.mkdir()
    clip, work = write_tiny_clip(root / "clip"), root / "work"
    page = open_page(clip, work, objects=2)
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/objects/2/stroke", path=[[50, 40]], radius=3)
    page.do("/api/undo")
    page.service.close()
    _write_images(root)
    _write_texts(root)
    _write_weights(root)
    data = labelled_clips([labelled_clip(open_clip(clip), ResultMasks.find(work), (0,))])
    for name, chosen in FORMATS.items():
        write_format(name, root / "exports" / f"{name}{chosen.suffix}", data, FormatOptions())
        if chosen.has_shapes:
            polygons = root / "polygons" / f"{name}{chosen.suffix}"
            write_format(name, polygons, data, FormatOptions(shapes="polygon"))
    return root


def _write_images(root: Path) -> None:
    write_labels(root / "mask.png", tiny_mask(0))
    Image.fromarray(tiny_mask(0)).save(root / "mask.tif")
    Image.fromarray(tiny_mask(0)).save(root / "mask.webp", lossless=True)
    np.save(root / "mask.npy", tiny_mask(0))
    for suffix in _FRAMES:
        Image.fromarray(tiny_frame(0)).save(root / f"frame.{suffix}")
    pages = [Image.fromarray(tiny_frame(index)) for index in range(3)]
    pages[0].save(root / "stack.tif", save_all=True, append_images=pages[1:])
    write_video(root / "video.mp4", count=3)
    write_video(root / "video.mkv", codec="mpeg4", count=3)


def _write_texts(root: Path) -> None:
    texts: dict[str, object] = {
        "clicks.json": {"00000": [POINTS]},
        "human.json": {"00000": {"1": POINTS}},
        "confidence.json": {"00000": {"1": 0.5}, "00001": {"1": 1.0, "2": 0.0}},
        "run.json": RECORD,
        "progress": {"format": "dextr-vos progress", "version": 2, "images": {"a.png": "done"}},
        "scores.json": {"all_frames": {"objects": {"1": {"J": FIGURES, "F": FIGURES}}}},
        "grid/grid.json": {"cells": [{"key": "a", "cell": CELL}]},
        "coco/annotations/instances_val2017.json": {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
            "categories": [{"id": 1, "name": "dog"}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 50.0, "bbox": [1, 1, 9, 9]}
                | {"segmentation": [[1, 1, 9, 1, 9, 9]]}
            ],
        },
        "shapes.json": [{"data": {"image": "00000.png"}, "annotations": [{"result": SHAPES}]}],
    }
    for name, content in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    (root / "coco" / "val2017").mkdir()
    (root / "folder.yml").write_text(
        "required: &base\n  source: a\n  destination: b\noptional: {update: true, save_format: png}\nadmin:\n"
    )
    (root / "labels.yaml").write_text("labels:\n- {name: dog, colour: '#102030', key: d}\n- name: cat\n")
    (root / "ellipse.xml").write_text(ELLIPSE)
    (root / "list.txt").write_text("a b\nc\n")
    (root / "polygons.txt").write_text("0 0.1 0.1 0.9 0.1 0.9 0.9\n")
    (root / "label-set.txt").write_text("dog\ncat\n")
    (root / "table.csv").write_text(",".join(COLUMNS) + "\n" + ",".join("1" for _ in COLUMNS) + "\n")
    for name, text in YAML.items():
        (root / name).write_text(text)


def _write_weights(root: Path) -> None:
    tensors = {"conv.weight": torch.zeros(2, 2), "conv.bias": torch.ones(2)}
    save_file(tensors, root / "weights.safetensors", {"record": json.dumps(RECORD)})
    torch.save(tensors, root / "weights.pth")
    torch.save(tensors, root / "old.pth", _use_new_zipfile_serialization=False)
    step = Checkpoint(1, 1.0, 0.5, {"iou": 0.5}, tensors, {"state": {}}, tensors, (0.1,))
    (root / "training").mkdir()
    torch.save(vars(step), root / "training" / "checkpoint.pt")
    instances = {"Segmentation": tiny_mask(0), "Categories": np.array([1], np.uint8)}
    savemat(root / "instances.mat", {"GTinst": instances})


def _undo_and_redo(path: Path, seeds: Path) -> None:
    """What a page does with a journal, as far as it only reads."""
    history, document = History(path), load_annotations(seeds / "work" / "annotations.json")
    list(history.layers())
    for change in (history.to_undo(), history.to_redo()):
        if change is not None:
            apply_diff(document, change.before)
            apply_diff(document, change.after)


def _open_page(path: Path, seeds: Path) -> None:
    """A whole workspace in the page, and undo; what it writes is put back."""
    work = seeds / "work"
    before = {each: each.read_bytes() for each in work.rglob("*") if each.is_file()}
    try:
        service = make_service(seeds / "clip", work)
        service.state()
        try:
            service.session.undo()
        finally:
            service.close()
    finally:
        for each in [each for each in work.rglob("*") if each.is_file() and each not in before]:
            each.unlink()
        for each, content in before.items():
            each.parent.mkdir(parents=True, exist_ok=True)
            each.write_bytes(content)


def _read_clip(path: Path, _: Path) -> None:
    clip = open_clip(path)
    try:
        for index in range(min(len(clip), 3)):
            clip.read(index)
    finally:
        clip.close()


def _settings(model: type[Settings]) -> Callable[[Path, Path], object]:
    return lambda path, _: load_settings(model, path)


def _overrides(path: Path, _: Path) -> None:
    load_settings(FolderSettings, None, ["optional.update=" + path.read_bytes().decode("utf-8", "replace")])


def _human_clicks(path: Path, _: Path) -> None:
    read_human_clicks(path, [ObjectRef("00000", 0, "dog", 50)])


def _training(path: Path, _: Path) -> None:
    TrainingFolder(path.parent, "", {}).read_checkpoint()


def _as_one_file(name: str, file: str) -> Loader:
    """An import of a file that is the whole of what is imported."""
    return Loader(file, lambda path, seeds: _import(name, path, seeds))


def _in_exports(name: str, file: str) -> Loader:
    folder = not FORMATS[name].suffix
    return Loader(
        f"exports/{file}",
        lambda path, seeds: _import(name, seeds / "exports" / name if folder else path, seeds),
    )


def _import(name: str, path: Path, seeds: Path) -> None:
    clip, nothing = open_clip(seeds / "clip"), Annotations(objects=(), keyframes={})
    frames = FORMATS[name].read(path)
    read_import(path, frames, clip, Workspace(seeds / "none"), nothing, FrameMatch())


LOADERS: dict[str, Loader] = {
    **{f"mask.{end}": Loader(f"mask.{end}", lambda path, _: read_labels(path)) for end in _MASKS},
    **{
        f"frame.{end}": Loader(f"frame.{end}", lambda path, _: (read_header(path), read_image(path)))
        for end in _FRAMES
    },
    "stack": Loader("stack.tif", _read_clip),
    "video.mp4": Loader("video.mp4", _read_clip),
    "video.mkv": Loader("video.mkv", _read_clip),
    "annotations.json": Loader("work/annotations.json", lambda path, _: load_annotations(path)),
    "clicks": Loader("clicks.json", lambda path, seeds: read_clicks(path, open_clip(seeds / "clip"))),
    "human clicks": Loader("human.json", _human_clicks),
    "confidence": Loader("confidence.json", lambda path, _: read_confidence(path)),
    "run.json": Loader("run.json", lambda path, _: (shot_names(path, "cuts"), keyframe_names(path))),
    "record": Loader("run.json", lambda path, _: read_record(path)),
    "scores": Loader("scores.json", lambda path, _: read_scores(path)),
    "grid": Loader("grid/grid.json", lambda path, _: read_grid(path.parent)),
    "table": Loader("table.csv", lambda path, _: read_table(path)),
    "progress": Loader("progress", lambda path, _: ProgressFile(path)),
    "folder settings": Loader("folder.yml", _settings(FolderSettings)),
    "overrides": Loader("folder.yml", _overrides),
    "labels.yaml": Loader("labels.yaml", lambda path, _: read_labels_file(path)),
    "label set": Loader("label-set.txt", lambda path, _: read_label_set(path)),
    "click training": Loader("dextr.yaml", _settings(DextrSettings)),
    "parent training": Loader("parent.yaml", _settings(ParentSettings)),
    "benchmark settings": Loader("benchmark.yaml", _settings(BenchmarkSettings)),
    "data set": Loader("data.yaml", _settings(FolderDescription)),
    "split list": Loader("list.txt", lambda path, _: read_list(path)),
    "polygons": Loader("polygons.txt", lambda path, _: list(read_polygons(path))),
    "SBD": Loader("instances.mat", lambda path, _: read_instances(path)),
    "COCO data set": Loader(
        "coco/annotations/instances_val2017.json", lambda _, seeds: CocoObjects(seeds / "coco")
    ),
    "workspace.yaml": Loader(
        "work/workspace.yaml",
        lambda path, seeds: Workspace(path.parent).check_clip(open_clip(seeds / "clip")),
    ),
    "journal": Loader("work/history/journal.jsonl", _undo_and_redo),
    "journal in the page": Loader("work/history/journal.jsonl", _open_page),
    "annotations in the page": Loader("work/annotations.json", _open_page),
    "keyframe in the page": Loader("work/keyframes/00000.png", _open_page),
    "safetensors": Loader(
        "weights.safetensors",
        lambda path, _: (read_metadata(path), tensor_names(path), read_state_dict(path)),
    ),
    "network record": Loader("weights.safetensors", lambda path, _: network_record(path)),
    "pth": Loader("weights.pth", lambda path, _: read_state_dict(path)),
    "old pth": Loader("old.pth", lambda path, _: read_state_dict(path)),
    "training": Loader("training/checkpoint.pt", _training),
    "COCO": _in_exports("coco", "coco.json"),
    "COCO polygons": _as_one_file("coco", "polygons/coco.json"),
    "CVAT polygons": _as_one_file("cvat-images", "polygons/cvat-images.xml"),
    "CVAT polygons of a video": _as_one_file("cvat-video", "polygons/cvat-video.xml"),
    "CVAT ellipse": _as_one_file("cvat-images", "ellipse.xml"),
    "Label Studio shapes": _as_one_file("label-studio", "shapes.json"),
    "CVAT images": _in_exports("cvat-images", "cvat-images.xml"),
    "CVAT video": _in_exports("cvat-video", "cvat-video.xml"),
    "Label Studio": _in_exports("label-studio", "label-studio/tasks.json"),
    "LabelMe": _in_exports("labelme", "labelme/00000.json"),
    "YOLO": _in_exports("yolo", "yolo/labels/train/00000.txt"),
    "YOLO classes": _in_exports("yolo", "yolo/data.yaml"),
    "YouTube-VOS": _in_exports("youtube-vos", "youtube-vos/train/meta.json"),
    "VOC classes": _in_exports("voc", "voc/labelmap.txt"),
    "VOC boxes": _in_exports("voc", "voc/Annotations/00000.xml"),
    "VOC mask": _in_exports("voc", "voc/SegmentationObject/00000.png"),
}
