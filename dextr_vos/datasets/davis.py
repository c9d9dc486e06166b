"""DAVIS on disk: split lists, clips, frames and ground truth (Perazzi et al. 2016; Pont-Tuset et al. 2017).

Both years share one layout: `JPEGImages/480p/<clip>/00000.jpg` and `Annotations/480p/<clip>/00000.png`.
Without the folder `480p` it is that of the parts of YouTube-VOS (Xu et al. 2018), MOSE and LVOS, where some
frames may have no mask. A `meta.json` beside, as in YouTube-VOS and LVOS, says that objects may come later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.layout import indexed_refs
from dextr_vos.errors import InputError, counted
from dextr_vos.files import natural_key, read_text
from dextr_vos.images import read_image
from dextr_vos.mask_file import find_mask_file, mask_files, plain_name, read_stored
from dextr_vos.masks import VOID, Labels, read_labels

YEARS = (2016, 2017)
_PARTS = ("train", "valid", "val", "test")  # of YouTube-VOS, MOSE and LVOS
_FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Davis:
    """A folder in the layout of DAVIS 2016 or 2017; nothing is read on construction.

    Attributes:
        root: the folder that holds `JPEGImages` and `Annotations`.
        resolution: the folder below those, as DAVIS names it; other data sets have none.
    """

    root: Path
    resolution: str = "480p"

    @property
    def annotations(self) -> Path:
        """The folder with one folder of masks a clip."""
        return self._below("Annotations")

    @property
    def images(self) -> Path:
        """The folder with one folder of frames a clip."""
        return self._below("JPEGImages")

    def _below(self, which: str) -> Path:
        """`which/480p` of DAVIS, or `which` of YouTube-VOS, MOSE and LVOS."""
        folder = self.root / which / self.resolution
        return folder if folder.is_dir() or not (self.root / which).is_dir() else self.root / which

    @property
    def objects_come_later(self) -> bool:
        """Whether objects may first appear after a clip's first mask, as where there is a `meta.json`.

        Which and when is taken from the masks.
        """
        return any(self.root.glob("*meta.json")) or any(self.root.glob("meta_*.json"))

    def available_clips(self) -> list[str]:
        """Names of all annotated clips on disk, sorted.

        Raises:
            InputError: the root or its annotations are missing, or hold no clip.
        """
        if not self.root.is_dir():
            raise InputError(f"there is no DAVIS folder {self.root}; give the folder that holds Annotations")
        if not self.annotations.is_dir():
            parts = [part for part in _PARTS if (self.root / part / "Annotations").is_dir()]
            if parts:
                raise InputError(
                    f"{self.root} holds the parts of a data set; give "
                    + " or ".join(str(self.root / part) for part in parts)
                )
            raise InputError(
                f"expected one folder of masks per clip in {self.annotations}, which is not there; "
                f"give the folder that holds Annotations/{self.resolution}, or Annotations as in YouTube-VOS"
            )
        clips = sorted((path.name for path in self.annotations.iterdir() if _is_clip(path)), key=natural_key)
        if not clips:
            raise InputError(f"expected one folder of masks per clip in {self.annotations}, found none")
        return clips

    def clips(self, split: str = "val", year: int | None = None) -> list[str]:
        """Clips of a split, in the order of its list; all annotated clips when the root has no list at all.

        Three forms of lists are read: `ImageSets/<year>/<split>.txt` and `<split>_seqs.txt` with a clip
        a line, `ImageSets/<resolution>/<split>.txt` with a frame and its mask a line.

        Args:
            split: `train`, `val` or another list the root has.
            year: whose list to prefer when there are several; 2017 when not given.

        Raises:
            InputError: the root has lists but not this one, or the list is empty or names a missing clip.
        """
        available = self.available_clips()
        lists = self._split_lists(year or YEARS[-1])
        if not lists:
            return available
        if split not in lists:
            raise InputError(
                f"{self.root} has no list of the split {split!r}; its splits are {', '.join(sorted(lists))}"
            )
        path = lists[split]
        clips = _read_split(path)
        if not clips:
            raise InputError(f"expected one clip per line in the split list {path}, found none")
        on_disk = {plain_name(clip): clip for clip in available}
        clips = [on_disk.get(plain_name(clip), clip) for clip in clips]
        missing = [clip for clip in clips if clip not in available]
        if missing:
            raise InputError(
                f"the split list {path} names {counted(len(missing), 'clip')} not in {self.annotations}: "
                f"{_some(missing)}; download them or name the clips to use ({_some(available)})"
            )
        return clips

    def require(self, clip: str) -> str:
        """The clip's name, if it is there.

        Raises:
            InputError: it is not; the sentence names those that are.
        """
        available = self.available_clips()
        if clip not in available:
            same = [name for name in available if plain_name(name) == plain_name(clip)]
            if same:
                return same[0]  # macOS may decompose the names of folders
            raise InputError(
                f"there is no clip {clip!r} in {self.annotations}; there are {_some(available, 100)}"
            )
        return clip

    def annotation_paths(self, clip: str) -> list[Path]:
        """The clip's masks in the order of its frames; a frame's name is the file's stem.

        Raises:
            InputError: there is no such clip, or it has no mask.
        """
        paths = list(mask_files(self.annotations / self.require(clip)).values())
        if not paths:
            raise InputError(
                f"expected masks 00000.png, 00001.png, … in {self.annotations / clip}, found none"
            )
        return paths

    def find_annotation(self, clip: str, frame: str) -> Path | None:
        """The mask of a frame; None where it has none."""
        return find_mask_file(self.annotations / clip, frame)

    def frame_paths(self, clip: str) -> list[Path]:
        """The clip's images in the order of its frames.

        Raises:
            InputError: there is no such clip, or it has no image.
        """
        folder = self.images / self.require(clip)
        paths = _files(folder, _FRAME_SUFFIXES)
        if not paths:
            raise InputError(
                f"expected frames 00000.jpg, 00001.jpg, … of the clip {clip!r} in {folder}, found none"
            )
        return paths

    def frame_names(self, clip: str) -> list[str]:
        """Names of all frames of a clip, of which some may have no mask, as in YouTube-VOS.

        Without the images, names of the frames that have a mask.

        Raises:
            InputError: there is no such clip, or it has no mask.
        """
        names = {plain_name(path.stem) for path in self.annotation_paths(clip)}
        names |= {plain_name(path.stem) for path in _files(self.images / clip, _FRAME_SUFFIXES)}
        return sorted(names, key=natural_key)

    def read_annotation(self, path: Path) -> Labels:
        """One ground-truth mask: H×W uint8, 0 background, 1…N objects (1 in DAVIS 2016), 255 void.

        Raises:
            InputError: the file is missing, broken, or no mask.
        """
        return read_labels(path)

    def guess_year(self, clip: str) -> int:
        """2016 when the clip's masks hold {0, 255}, 2017 when they hold one value an object.

        Raises:
            InputError: there is no such clip, or a mask cannot be read.
        """
        for path in self.annotation_paths(clip):
            # the raw values: read_labels makes the two years alike
            values = set(np.unique(read_stored(path).values).tolist()) - {0}
            if values:
                return 2016 if values == {VOID} else 2017
        return 2017

    def _split_lists(self, year: int) -> dict[str, Path]:
        """The root's split lists by split; the year's own first, then those of no year, then the other's."""
        others = [str(other) for other in YEARS if other != year]
        found: dict[str, Path] = {}
        for folder in [str(year), self.resolution]:
            for path in _files(self.root / "ImageSets" / folder, (".txt",)):
                found.setdefault(path.stem, path)
        for path in _files(self.root, ("_seqs.txt",)):
            found.setdefault(path.name.removesuffix("_seqs.txt"), path)
        for folder in others:
            for path in _files(self.root / "ImageSets" / folder, (".txt",)):
                found.setdefault(path.stem, path)
        return found


def _is_clip(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Visible files of a folder with one of the endings, in natural order; none when there is no folder."""
    if not folder.is_dir():
        return []
    files = (
        path
        for path in folder.iterdir()
        if path.name.lower().endswith(endings) and not path.name.startswith(".")
    )
    return sorted(files, key=lambda path: natural_key(path.name))


def _read_split(path: Path) -> list[str]:
    """Clips of a split list, each once, in order; a line is a clip, or a frame and its mask."""
    try:
        lines = read_text(path).split("\n")
    except (OSError, InputError) as error:
        raise InputError(f"cannot read the split list {path}: {error}") from None
    firsts = [PurePosixPath(line.split()[0]) for line in lines if line.strip()]
    clips = [first.parent.name if first.suffix in _FRAME_SUFFIXES else first.name for first in firsts]
    return list(dict.fromkeys(clips))


def _some(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


class DavisObjects:
    """The objects of DAVIS frames; see `ObjectSet`. An image is `clip/00000`, its category the clip.

    `object_id` is the object's value in the masks less one; DAVIS 2016 has one object a frame.

    Args:
        root: the folder that holds `JPEGImages` and `Annotations`.
        split: `train`, `val` or another list of the root.
        year: whose split list to prefer, 2016 or 2017.
        every: take each clip's first frame and every `every`-th after it.
        index_folder: where the list of objects is kept; see `indexed_refs`.

    Raises:
        InputError: the data set is not there or not whole, `every` is below 1, or a mask has no frame.
    """

    def __init__(
        self,
        root: Path,
        split: str = "val",
        year: int | None = None,
        every: int = 1,
        *,
        index_folder: Path | None = None,
    ) -> None:
        if every < 1:
            raise InputError(f"expected every n-th frame with n of at least 1, got every={every}")
        self._davis = Davis(root)
        self._frames: dict[str, Path] = {}
        self._masks: dict[str, Path] = {}
        for clip in self._davis.clips(split, year):
            frames = {plain_name(path.stem): path for path in self._davis.frame_paths(clip)}
            for path in self._davis.annotation_paths(clip)[::every]:
                stem = plain_name(path.stem)
                if stem not in frames:
                    raise InputError(f"the mask {path} has no frame of its name in JPEGImages; get it again")
                name = f"{clip}/{stem}"
                self._frames[name], self._masks[name] = frames[stem], path
        self.refs = indexed_refs(
            f"davis-{split}-every{every}", list(self._masks.values()), self._count, index_folder
        )

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        ref = self.refs[index]
        image_rgb = read_image(self._frames[ref.image])
        path = self._masks[ref.image]
        labels = self._davis.read_annotation(path)
        mask = labels == ref.object_id + 1
        if labels.shape != image_rgb.shape[:2] or not mask.any():
            raise InputError(f"the mask {path} does not fit its frame or has changed; get it again")
        return Example(ref, image_rgb, mask, labels == VOID)

    def _count(self) -> Iterator[ObjectRef]:
        for name, path in self._masks.items():
            areas = np.bincount(self._davis.read_annotation(path).ravel(), minlength=VOID + 1)
            for object_id in np.flatnonzero(areas[1:VOID]).tolist():
                yield ObjectRef(name, object_id, name.partition("/")[0], int(areas[object_id + 1]))
