"""The formats by name: what each can hold, and what writes and reads it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.export.formats.coco import read_coco, write_coco
from dextr_vos.export.formats.cvat import read_cvat, write_cvat_images, write_cvat_video
from dextr_vos.export.formats.imported import ImportedFrame
from dextr_vos.export.formats.label_studio import read_label_studio, write_label_studio
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClips, OnFrame
from dextr_vos.export.formats.labelme import read_labelme, write_labelme
from dextr_vos.export.formats.png_folders import (
    read_davis,
    read_masks,
    read_object_masks,
    read_youtube_vos,
    write_davis,
    write_masks,
    write_object_masks,
    write_youtube_vos,
)
from dextr_vos.export.formats.voc import read_voc, write_voc
from dextr_vos.export.formats.yolo import read_yolo, write_yolo
from dextr_vos.folder_lock import put_aside, scratch_beside, sweep_scratch

Write = Callable[[Path, LabelledClips, FormatOptions, OnFrame], None]
Read = Callable[[Path], list[ImportedFrame]]


@dataclass(frozen=True)
class MaskFormat:
    """A format of masks.

    Attributes:
        title: what it is called.
        suffix: of its file; "" where it is a folder.
        write: fills the file or folder.
        read: its frames.
        has_shapes: it holds masks as well as polygons.
        one_file: suffix of a file that `read` takes in place of the folder; "" where there is none.
    """

    title: str
    suffix: str
    write: Write
    read: Read
    has_shapes: bool = False
    one_file: str = ""


FORMATS: dict[str, MaskFormat] = {
    "masks": MaskFormat("indexed PNGs", "", write_masks, read_masks),
    "objects": MaskFormat("one PNG per object", "", write_object_masks, read_object_masks),
    "coco": MaskFormat("COCO", ".json", write_coco, read_coco, has_shapes=True),
    "yolo": MaskFormat("YOLO segmentation", "", write_yolo, read_yolo),
    "davis": MaskFormat("DAVIS", "", write_davis, read_davis),
    "youtube-vos": MaskFormat("YouTube-VOS", "", write_youtube_vos, read_youtube_vos),
    "voc": MaskFormat("PASCAL VOC", "", write_voc, read_voc),
    "labelme": MaskFormat("LabelMe", "", write_labelme, read_labelme, has_shapes=True),
    "label-studio": MaskFormat("Label Studio", "", write_label_studio, read_label_studio, one_file=".json"),
    "cvat-images": MaskFormat("CVAT for images 1.1", ".xml", write_cvat_images, read_cvat, has_shapes=True),
    "cvat-video": MaskFormat("CVAT for video 1.1", ".xml", write_cvat_video, read_cvat, has_shapes=True),
}


def write_format(
    name: str,
    path: Path,
    data: LabelledClips,
    options: FormatOptions,
    on_frame: OnFrame | None = None,
    replace: bool = False,
) -> None:
    """Write masks in a format; the file or folder is complete or absent.

    Args:
        name: one of `FORMATS`.
        path: file, or a folder that is empty or not there.
        data: the clips.
        options: how.
        on_frame: called with the number of frames done and of all frames.
        replace: the folder may hold something, an earlier export, which goes.

    Raises:
        InputError: the folder holds something and is not to be replaced, the format cannot hold the masks, or
            a mask is damaged.
    """
    chosen = FORMATS[name]
    if options.shapes == "polygon" and not chosen.has_shapes:
        able = ", ".join(key for key, each in FORMATS.items() if each.has_shapes)
        raise InputError(f"{chosen.title} has one form of masks; polygons are a choice of {able}")
    report = on_frame or (lambda done, total: None)
    if chosen.suffix:
        with scratch_beside(path) as scratch:
            chosen.write(scratch / path.name, data, options, report)
            (scratch / path.name).replace(path)
        return
    with new_folder(path, replace) as folder:
        chosen.write(folder, data, options, report)


def refuse_file_name(path: Path, otherwise: str = "") -> None:
    """Refuse a new folder that would be called like a file; one that is there may be called as it likes.

    Args:
        path: of the folder.
        otherwise: what else would do, for the message.

    Raises:
        InputError: it is called like a file.
    """
    kind = next(filter(None, guess_type(path.name)), None)
    if kind is not None and not path.exists():
        raise InputError(
            f"{path} is called like a file ({kind}), expected a folder; give it another name{otherwise}"
        )


@contextmanager
def new_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A folder that takes the place of `path` once the block succeeds; else `path` stays as it is.

    Args:
        path: the folder.
        replace: it may hold something, which goes.

    Raises:
        InputError: `path` holds something and is not to be replaced, or is a file or called like one.
    """
    refuse_file_name(path)
    sweep_scratch(path.parent)  # one that was killed when all was in place, or put an earlier export aside
    if path.is_file():
        raise InputError(f"{path} is a file, expected a folder; give an empty one or a new one")
    if path.exists() and (not path.is_dir() or (not replace and any(path.iterdir()))):
        raise InputError(f"{path} holds something already; give an empty folder or a new one")
    with scratch_beside(path) as scratch:
        folder = scratch / path.name
        folder.mkdir()
        yield folder
        former = put_aside(path, scratch) if path.exists() else None
        try:
            folder.rename(path)
        except OSError:
            if former is not None:
                former.rename(path)
            raise
