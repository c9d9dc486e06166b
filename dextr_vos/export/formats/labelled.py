"""What writers of formats get: the masks of one or more clips with names, categories and colours."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dextr_vos.annotation.annotations import Annotations, load_annotations
from dextr_vos.clip import Clip, FolderClip
from dextr_vos.errors import InputError
from dextr_vos.files import read_text
from dextr_vos.images import write_image
from dextr_vos.masks import Labels, default_name, display_colour, object_ids
from dextr_vos.workspace import ResultMasks, Workspace

OnFrame = Callable[[int, int], None]
Shapes = Literal["mask", "polygon"]


@dataclass(frozen=True)
class LabelledObject:
    """An object of a clip.

    Attributes:
        id: its value in the masks.
        name: its name in the workspace.
        category: what it is; its name where there is no label set.
        colour: `#rrggbb`.
    """

    id: int
    name: str
    category: str
    colour: str


@dataclass(frozen=True)
class LabelledClip:
    """A clip, the masks of some of its frames, and its objects.

    Attributes:
        name: unique among the clips that are written together.
        clip: the frames.
        masks: where their masks are.
        objects: by id.
        frames: indices of the frames to write.
    """

    name: str
    clip: Clip
    masks: ResultMasks
    objects: dict[int, LabelledObject]
    frames: tuple[int, ...]

    def image_name(self, index: int) -> str:
        """File name of a frame: that of the folder, `<frame>.png` of a video."""
        if isinstance(self.clip, FolderClip):
            return self.clip.files[index].name
        return f"{self.clip.names[index]}.png"

    def write_image(self, index: int, path: Path) -> None:
        """Write a frame; a file of the same kind is copied as it is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        source = self.clip.files[index] if isinstance(self.clip, FolderClip) else None
        if source is not None and source.suffix.lower() == path.suffix.lower():
            shutil.copyfile(source, path)
        else:
            write_image(path, self.clip.read(index))


@dataclass(frozen=True)
class LabelledClips:
    """All that is written into one file or folder.

    Attributes:
        clips: one or more.
        categories: ids by name, from 1.
    """

    clips: tuple[LabelledClip, ...]
    categories: dict[str, int]

    def image_name(self, clip: LabelledClip, index: int) -> str:
        """Name of a frame's image, which no other clip has: below the clip's name where there are several."""
        name = clip.image_name(index)
        return f"{clip.name}/{name}" if len(self.clips) > 1 else name

    def frames(self, on_frame: OnFrame | None = None) -> Iterator[tuple[LabelledClip, int, Labels]]:
        """Each frame with its labels, H×W uint8.

        Args:
            on_frame: called with the number of frames done and of all frames.

        Raises:
            InputError: a mask is missing or damaged.
        """
        done, total = 0, sum(len(clip.frames) for clip in self.clips)
        for clip in self.clips:
            for index in clip.frames:
                yield clip, index, clip.masks.read(clip.clip, index)
                done += 1
                if on_frame is not None:
                    on_frame(done, total)

    def colours(self) -> dict[str, str]:
        """`#rrggbb` of each category: that of its first object."""
        found = {name: _hex(display_colour(number)) for name, number in self.categories.items()}
        for clip in reversed(self.clips):
            found |= {entry.category: entry.colour for entry in reversed(clip.objects.values())}
        return found

    def only_clip(self, format_name: str) -> LabelledClip:
        """The one clip of a format that holds no more.

        Raises:
            InputError: there are several.
        """
        if len(self.clips) > 1:
            names = ", ".join(clip.name for clip in self.clips)
            raise InputError(f"a file of {format_name} holds one clip, got {names}; export each on its own")
        return self.clips[0]


@dataclass(frozen=True)
class FormatOptions:
    """How a format is written.

    Attributes:
        shapes: where a format has both: masks as they are, or their outlines.
        images: also write the frames, where the format has a place for them.
    """

    shapes: Shapes = "mask"
    images: bool = True


def labelled_clip(clip: Clip, masks: ResultMasks, frames: Sequence[int] | None = None) -> LabelledClip:
    """A clip with its masks, named and coloured as in its workspace, if it has one.

    Args:
        clip: the frames.
        masks: of a workspace, a run or a folder.
        frames: indices of those to write; None for all.

    Raises:
        InputError: a mask is missing or damaged.
    """
    frames = tuple(range(len(clip)) if frames is None else frames)
    path = Workspace(masks.path).annotations
    document = load_annotations(path) if path.is_file() else Annotations(objects=(), keyframes={})
    known = {entry.id: (entry.name, entry.colour) for entry in document.objects}
    named = {object_id: (name, None) for object_id, name in masks.object_names.items()} | known
    objects = {
        object_id: _labelled(object_id, *named[object_id])
        for object_id in sorted(named)
        if masks.only is None or object_id in masks.only
    }
    for index in frames:
        for object_id in object_ids(masks.read(clip, index)):
            objects.setdefault(object_id, _labelled(object_id, default_name(object_id), None))
    resolved = clip.path.resolve()
    return LabelledClip(resolved.stem if resolved.is_file() else resolved.name, clip, masks, objects, frames)


def objects_called(texts: Sequence[str], clip: LabelledClip) -> frozenset[int]:
    """Ids of objects that are given by id or name.

    Raises:
        InputError: there is no such object.
    """
    by_name = {each.name: each.id for each in clip.objects.values()}
    ids = set()
    for text in texts:
        object_id = by_name.get(text, int(text) if text.isdecimal() else None)
        if object_id not in clip.objects:
            known = ", ".join(f"{each.id} ({each.name})" for each in clip.objects.values())
            raise InputError(f"{clip.masks.path} has no object '{text}'; it has {known or 'none'}")
        ids.add(object_id)
    return frozenset(ids)


def labelled_clips(clips: Sequence[LabelledClip], label_set: Sequence[str] | None = None) -> LabelledClips:
    """Clips to be written together: names made unique, objects given categories.

    Without a label set a category is a name of objects; its id is that of its object where one clip has it.
    With one, an object is of the longest label that its name is or begins with ("dog 2" is a "dog").

    Raises:
        InputError: an object fits no label.
    """
    taken: dict[str, int] = {}
    renamed = []
    for clip in clips:
        name = unique_name(clip.name, taken)
        taken[name] = 1
        objects = {
            each.id: LabelledObject(each.id, each.name, _category(each, clip, label_set), each.colour)
            for each in clip.objects.values()
        }
        renamed.append(LabelledClip(name, clip.clip, clip.masks, objects, clip.frames))
    if label_set is not None:
        return LabelledClips(tuple(renamed), {label: number for number, label in enumerate(label_set, 1)})
    categories: dict[str, int] = {}
    for clip in renamed:
        for each in clip.objects.values():
            if each.category not in categories:
                used = set(categories.values())
                categories[each.category] = each.id if each.id not in used else max(used) + 1
    return LabelledClips(tuple(renamed), dict(sorted(categories.items(), key=lambda entry: entry[1])))


def read_label_set(path: Path) -> list[str]:
    """Labels of a text file, one a line.

    Raises:
        InputError: there is no such file, it holds none, or one twice.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise InputError(
            f"there is no label set {path}; expected a text file with one label per line"
        ) from None
    if text.lstrip().startswith(("{", "[")):
        raise InputError(f"the label set {path} is a JSON file; expected a text file with one label per line")
    labels = [line.strip() for line in text.splitlines() if line.strip()]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if not labels or twice is not None:
        found = f"'{twice}' twice" if twice is not None else "none"
        raise InputError(f"the label set {path} holds {found}; expected different labels, one per line")
    return labels


def unique_name(name: str, taken: dict[str, int]) -> str:
    """`name`, or the first of `name-2`, `name-3` … that is free."""
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name}-{count}"
    return free


def file_stem(name: str) -> str:
    """A name as a part of a file's name: what file systems refuse is replaced."""
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(" .") or "_"


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of `#rrggbb`."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _labelled(object_id: int, name: str, colour: str | None) -> LabelledObject:
    return LabelledObject(object_id, name, name, colour or _hex(display_colour(object_id)))


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _category(entry: LabelledObject, clip: LabelledClip, label_set: Sequence[str] | None) -> str:
    if label_set is None:
        return entry.name
    name = entry.name.casefold()
    fitting = [
        label
        for label in label_set
        if name == label.casefold() or re.match(rf"{re.escape(label.casefold())}[\W\d_]", name)
    ]
    if not fitting:
        shown = ", ".join(label_set[:10]) + (" …" if len(label_set) > 10 else "")
        raise InputError(
            f"the object '{entry.name}' of {clip.masks.path} fits no label of the label set ({shown}); "
            "rename it to a label, or to one with a number behind it, like "
            f"'{label_set[0]} 2'"
        )
    return max(fitting, key=len)
