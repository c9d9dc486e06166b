"""Errors that a user can correct, each described in one sentence: expected, got, where, what to do.

The command line prints the sentence and exits with status 2; any other exception is a bug.
"""

import re
from collections.abc import Sequence

# ASCII and Latin-1 control characters and separators of lines: a terminal obeys them, and a log has lines
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAMED_FRAMES = 5


def on_one_line(text: str) -> str:
    r"""A text with its control characters as escapes, `\n`: names in files of strangers may hold any."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def counted(count: int, noun: str) -> str:
    """A count with its noun: "1 frame", "2 frames"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def in_frames(names: Sequence[str]) -> str:
    """In how many frames something is, and in which: "in 2 frames: 00001, 00007", of many the first five."""
    more = f" and {len(names) - _NAMED_FRAMES} more" if len(names) > _NAMED_FRAMES else ""
    return f"in {counted(len(names), 'frame')}: {', '.join(names[:_NAMED_FRAMES])}{more}"


class DextrVosError(Exception):
    """An error in the input; its text is one sentence that says what to do, see `on_one_line`."""

    def __init__(self, text: str) -> None:
        super().__init__(on_one_line(text))


class InputError(DextrVosError):
    """Frames, masks, clicks or results that cannot be used."""


class ConfigError(DextrVosError):
    """Settings that are unknown, of the wrong type, or contradict one another."""


class WeightsError(DextrVosError):
    """A checkpoint that is broken or does not fit the network."""


class MissingCheckpointError(InputError):
    """A model without shipped weights is asked for without its checkpoint.

    Attributes:
        parameter: by which the checkpoint is given, "parent" or "weights".
    """

    def __init__(self, text: str, parameter: str = "weights") -> None:
        super().__init__(text)
        self.parameter = parameter


def refused_by_disk(error: OSError) -> str:
    """The sentence about a file that cannot be read or written, where the error names one.

    Args:
        error: with a `filename`.
    """
    return on_one_line(f"cannot read or write {error.filename2 or error.filename}: {error.strerror}")


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The work was stopped, by Ctrl-C for example, and is kept so far; the text says how to resume."""
