"""Published figures that the report draws beside ours; they stand in `published.yaml` with their source."""

from functools import cache
from pathlib import Path

from dextr_vos.benchmark.settings import Supervision
from dextr_vos.config import Settings, load_settings


class PublishedCurve(Settings):
    """J in per cent over seconds of annotation.

    Attributes:
        supervision: which of our curves it goes with.
        label: what it is called.
        points: seconds and J.
    """

    supervision: Supervision
    label: str
    points: tuple[tuple[float, float], ...]


class Published(Settings):
    """Curves and where they come from."""

    source: str
    curves: tuple[PublishedCurve, ...]


@cache
def published() -> Published:
    """The published figures."""
    return load_settings(Published, Path(__file__).with_name("published.yaml"))
