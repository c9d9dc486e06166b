"""The faults a user can mend, each told in one sentence: expected, got, where, what to do.

The command line prints the sentence and exits with status 2; anything else that is raised is a bug.
"""


class DextrVosError(Exception):
    """A fault in what was handed over; its text is one sentence a user can act on."""


class InputError(DextrVosError):
    """Frames, masks, clicks or results that cannot be used as they are."""


class ConfigError(DextrVosError):
    """Settings that are unknown, of the wrong type, or contradict one another."""


class WeightsError(DextrVosError):
    """A checkpoint that is broken or does not fit the network."""


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Ctrl-C was pressed and what was done so far is kept; the text says how to go on."""
