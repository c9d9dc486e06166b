"""Lists of frames, as a person writes them on the command line: `0,24,last` or `10-20`."""

import re
from collections.abc import Sequence
from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.mask_file import plain_name


def parse_frames(text: str, names: Sequence[str], source: Path) -> list[int]:
    """Frame indices from a list like `0,24,last`, `00000,00024` or `10-20,40-last`.

    Args:
        text: comma-separated; an item is a frame's name, else its index (negative from the end), `first`,
            `middle` or `last`, or two of these with a hyphen between them, for all frames from one to the
            other.
        names: of all frames, in order.
        source: the clip or folder the frames belong to, for the message.

    Returns:
        Ascending indices without repeats.

    Raises:
        InputError: an item names no frame, or a range ends before it begins.
    """
    positions = {"first": 0, "middle": len(names) // 2, "last": len(names) - 1}
    positions |= {plain_name(name): index for index, name in enumerate(names)}

    def index_of(item: str) -> int | None:
        if item in positions:
            return positions[item]
        is_index = re.fullmatch(r"-?\d+", item) and -len(names) <= int(item) < len(names)
        return int(item) % len(names) if is_index else None

    def indices_of(item: str) -> range:
        index = index_of(item)
        if index is not None:
            return range(index, index + 1)
        turned = ""
        for hyphen in re.finditer("-", item):  # names may hold some, too
            ends = index_of(item[: hyphen.start()].strip()), index_of(item[hyphen.end() :].strip())
            if ends[0] is None or ends[1] is None:
                continue
            if ends[0] <= ends[1]:
                return range(ends[0], ends[1] + 1)
            turned = f"{item[hyphen.end() :].strip()}-{item[: hyphen.start()].strip()}"
        if turned:
            raise InputError(f"the range {item} ends before it begins; write {turned}")
        begin, _, end = (part.strip() for part in item.rpartition("-"))
        if index_of(begin) is not None and end.isdecimal():
            last = names[-1] if begin in names else index_text(len(names) - 1, names)
            raise InputError(
                f"'{item}' goes beyond the last frame of {source}, {last}; did you mean {begin}-{last}?"
            )
        raise InputError(
            f"'{item}' is no frame of {source}: expected an index from 0 to {len(names) - 1}, "
            f"a name ('{names[0]}' to '{names[-1]}'), first, middle or last, or a range of these like 10-20"
        )

    return sorted({index for item in plain_name(text).split(",") for index in indices_of(item.strip())})


def index_text(index: int, names: Sequence[str]) -> str:
    """How `parse_frames` is told a frame: its index, or its name where another one is called like that."""
    return names[index] if str(index) in names else str(index)
