"""What the page works on, a clip or a folder of pictures: all that the routes ask for."""

from pathlib import Path
from typing import Any, Protocol

from dextr_vos.errors import InputError
from dextr_vos.web.session import Session
from dextr_vos.web.shown_masks import ShownMasks


class ConflictError(Exception):
    """Not now: something else is at work. The text is one sentence."""


class Service(Protocol):
    """A session and what is around it."""

    session: Session
    masks: ShownMasks

    def state(self) -> dict[str, Any]:
        """All that the page shows."""
        ...

    def propagate(self, budget_s: float | None) -> None:
        """Begin to make masks of all frames."""
        ...

    def cancel(self) -> None:
        """Stop what is under way; what is done stays."""
        ...

    def export(self, kind: str) -> None:
        """Begin an export."""
        ...

    def exported(self, kind: str) -> Path:
        """The file of an export that is ready."""
        ...

    def set_status(self, index: int, status: str) -> None:
        """How far a picture is."""
        ...

    def reset(self) -> None:
        """Forget all progress."""
        ...

    def poll(self) -> None:
        """See whether anything has changed that nobody did through this server."""
        ...

    def close(self) -> None:
        """End all work; nothing is lost."""
        ...


def only_for_folders() -> InputError:
    """The refusal of what a clip does not have."""
    return InputError("this is for a folder of separate pictures; start dextr-vos annotate with --config")


def only_for_clips() -> InputError:
    """The refusal of what separate pictures do not have."""
    return InputError("separate pictures are not propagated or exported; finish each to have its mask saved")
