"""Errors that a user can correct, each described in one sentence: expected, got, where, what to do.

The command line prints the sentence and exits with status 2; any other exception is a bug.
"""


class DextrVosError(Exception):
    """An error in the input; its text is one sentence that says what to do."""


class InputError(DextrVosError):
    """Frames, masks, clicks or results that cannot be used."""


class ConfigError(DextrVosError):
    """Settings that are unknown, of the wrong type, or contradict one another."""


class WeightsError(DextrVosError):
    """A checkpoint that is broken or does not fit the network."""


def refused_by_disk(error: OSError) -> str:
    """The sentence about a file that cannot be read or written, where the error names one.

    Args:
        error: with a `filename`.
    """
    return f"cannot read or write {error.filename2 or error.filename}: {error.strerror}"


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The work was stopped, by Ctrl-C for example, and is kept so far; the text says how to resume."""
