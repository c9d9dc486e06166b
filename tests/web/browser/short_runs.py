"""Servers whose page makes short runs on small crops: it matters that they are made, not how well."""

from functools import partial


def make_runs_short() -> None:
    """In this process, for good."""
    from dextr_vos.web import service

    small = ("longest_side=128", "batch=1")
    service.Propagation = partial(service.Propagation, settings=small)  # type: ignore[misc]
