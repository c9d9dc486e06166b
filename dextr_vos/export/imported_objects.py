"""Which object of a workspace each mask of another program's file is of."""

import re
from collections import Counter
from collections.abc import Mapping, Set

from dextr_vos.annotation.annotations import Annotations, ObjectEntry
from dextr_vos.errors import InputError, counted, in_frames
from dextr_vos.export.formats.imported import ImportedFrame, ImportedMask
from dextr_vos.masks import MAX_OBJECTS, default_name

_SAID_IDS = 5

# an object: its track, or its name and its place among the masks of that name in a frame
ObjectKey = tuple[str, str, int]


def object_keys(placed: Mapping[str, ImportedFrame]) -> tuple[dict[str, list[ObjectKey]], list[str]]:
    """Which object each mask of each frame is of.

    Masks of one name without a track are one object, where frames leave open which is which; in a single
    frame each is an object.

    Args:
        placed: the frames of a file, by their names in the clip.

    Returns:
        For each frame the keys of its masks; and warnings, as sentences without full stops, where objects
        become one, or several share an id.
    """
    named = {
        name: Counter(mask.name for mask in frame.masks if mask.track is None)
        for name, frame in placed.items()
    }
    frames_of = Counter(label for counts in named.values() for label in counts)
    keys: dict[str, list[ObjectKey]] = {name: [] for name in placed}
    for name, frame in placed.items():
        seen: Counter[str] = Counter()
        for mask in frame.masks:
            if mask.track is not None:
                key = ("track", mask.track, 0)
            else:
                key = ("name", mask.name, seen[mask.name] if frames_of[mask.name] == 1 else 0)
                seen[mask.name] += 1
            keys[name].append(key)
    merged = {
        label: [name for name in placed if named[name][label] > 1]
        for label, count in frames_of.items()
        if count > 1
    }
    warnings = [
        f"several '{label}' without track ids become one object {in_frames(names)}"
        for label, names in merged.items()
        if names
    ]
    return keys, warnings + _shared_ids(placed)


def _shared_ids(placed: Mapping[str, ImportedFrame]) -> list[str]:
    """Tell of ids that several tracks have, as where a file numbers objects afresh in each image."""
    tracks: dict[int, dict[str, str]] = {}
    for frame in placed.values():
        for mask in frame.masks:
            if mask.object_id is not None and mask.track is not None:
                tracks.setdefault(mask.object_id, {}).setdefault(mask.track, mask.name)
    shown = {
        object_id: ", ".join(f"'{name}'" for name in names.values())
        for object_id, names in sorted(tracks.items())
        if len(names) > 1
    }
    said = [f"several objects have the id {each} and stay apart: {names}" for each, names in shown.items()]
    more = len(said) - _SAID_IDS
    if more > 0:
        said[_SAID_IDS:] = [f"several objects share {counted(more, 'more id')} and stay apart"]
    return said


def object_entries(
    keys: Mapping[str, list[ObjectKey]], placed: Mapping[str, ImportedFrame], before: Annotations
) -> dict[ObjectKey, ObjectEntry]:
    """The objects: those of the workspace by name, or by id where the file has only ids.

    Of several of one name in the file, each is that of the workspace with its id. Others get the id that they
    bring, or the next free one, and a name that no other object has.

    Args:
        keys: of the masks of each frame.
        placed: the frames, by their names in the clip.
        before: the annotations of the workspace.

    Raises:
        InputError: there are too many.
    """
    first: dict[ObjectKey, ImportedMask] = {}
    for name, frame in placed.items():
        for key, mask in zip(keys[name], frame.masks, strict=True):
            first.setdefault(key, mask)
    known = {entry.name: entry for entry in before.objects}
    numbered = {entry.id: entry for entry in before.objects}
    taken = {entry.id for entry in before.objects}
    brought = Counter(mask.object_id for mask in first.values())
    entries: dict[ObjectKey, ObjectEntry] = {}
    open_keys = []

    def is_free(object_id: int) -> bool:
        return 1 <= object_id <= MAX_OBJECTS and object_id not in taken and brought[object_id] == 1

    def rank(mask: ImportedMask) -> int:
        """Ids that agree with names come first, then names, then mere ids."""
        with_id = numbered.get(mask.object_id or 0)
        agrees = with_id is not None and _is_called(with_id.name, mask.name)
        return 2 if _has_id_only(mask) else 0 if agrees else 1

    for key, mask in sorted(first.items(), key=lambda item: rank(item[1])):
        used = {each.id for each in entries.values()}
        same = numbered.get(mask.object_id or 0) if rank(mask) != 1 else None
        same = same or _of_name(mask.name, known, used)
        if same is not None and same.id not in used:
            entries[key] = same
        elif mask.object_id is None or not is_free(mask.object_id):
            open_keys.append(key)
        else:
            entries[key] = _entry(mask.object_id, mask)
            taken.add(mask.object_id)
    for key in open_keys:
        free = _free_id(taken)
        taken.add(free)
        entries[key] = _entry(free, first[key])
    return _with_names_apart(entries, before)


def _free_id(taken: Set[int]) -> int:
    free = next((number for number in range(1, MAX_OBJECTS + 1) if number not in taken), None)
    if free is None:
        raise InputError(f"there are more than {MAX_OBJECTS} objects, which is the most a mask can hold")
    return free


def _of_name(name: str, known: Mapping[str, ObjectEntry], used: Set[int]) -> ObjectEntry | None:
    """The object of a name, else of the name with 2, 3 and so on behind it, whose id is not in use."""
    entry, number = known.get(name), 1
    while entry is not None and entry.id in used:
        number += 1
        entry = known.get(f"{name} {number}")
    return entry


def _is_called(name: str, text: str) -> bool:
    """Whether a name is `text`, or `text` with a number behind it."""
    return name == text or (name.startswith(f"{text} ") and name[len(text) + 1 :].isdecimal())


def _has_id_only(mask: ImportedMask) -> bool:
    """Whether the file gives the object an id, and no name of its own."""
    return mask.object_id is not None and mask.name == default_name(mask.object_id)


def _entry(object_id: int, mask: ImportedMask) -> ObjectEntry:
    colour = mask.colour.lower() if mask.colour else ""
    is_colour = re.fullmatch(r"#[0-9a-f]{6}", colour) is not None
    # a default name goes with its id
    name = default_name(object_id) if re.fullmatch(r"object \d+", mask.name) else mask.name
    return ObjectEntry(id=object_id, name=name, colour=colour if is_colour else None)


def _with_names_apart(
    entries: Mapping[ObjectKey, ObjectEntry], before: Annotations
) -> dict[ObjectKey, ObjectEntry]:
    """The objects, new ones with a number behind a name that another has."""
    there = {entry.id: entry.name for entry in before.objects}
    names, apart = set(there.values()), {}
    for key, entry in sorted(entries.items(), key=lambda item: item[1].id):
        name, count = entry.name, 1
        while name in names and entry.id not in there:
            count += 1
            name = f"{entry.name} {count}"
        names.add(name)
        apart[key] = entry.model_copy(update={"name": name})
    return apart
