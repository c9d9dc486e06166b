"""A clip on the desk: its session, the run in its workspace, and the work that goes on beside them."""

from pathlib import Path
from typing import Any

from dextr_vos.errors import InputError
from dextr_vos.frames import Clip
from dextr_vos.web.desk import only_for_folders
from dextr_vos.web.engine import Engine
from dextr_vos.web.pictures import ClipPictures
from dextr_vos.web.run_masks import RunMasks
from dextr_vos.web.session import Session
from dextr_vos.web.shown_masks import ShownMasks
from dextr_vos.web.state import annotated
from dextr_vos.workspace import Workspace


class ClipDesk:
    """See `Desk`."""

    def __init__(self, clip: Clip, workspace: Workspace, engine: Engine, readonly: str | None = None) -> None:
        workspace.check_clip(clip)
        self.clip = clip
        self.run = workspace.path / "propagation"
        pictures = ClipPictures(clip)
        self.session = Session(workspace, pictures, engine, RunMasks(self.run, clip.names), readonly)
        for name in self.session.document.keyframes:
            clip.index_of(name)
        self.masks = ShownMasks(self.session)
        if readonly is None:
            workspace.write_settings(clip)

    def state(self) -> dict[str, Any]:
        """See `Desk`."""
        session, clip = self.session, self.clip
        finished = session.run.finished
        assert finished is not None
        keyframes = [clip.index_of(name) for name in session.document.keyframes]
        done = finished.done
        return {
            **annotated(session),
            "mode": "clip",
            "title": clip.path.stem if clip.path.is_file() else clip.path.resolve().name,
            "fps": clip.fps,
            "size": [clip.size_hw[1], clip.size_hw[0]],
            "masks": {"done": done, "stale": done and finished.is_stale(session.digests)},
            "confidence": finished.confidence(),
            "suggested": finished.suggested(keyframes),
            "job": None,
            "last_job": None,
            "status": None,
            "exports": {"masks": False, "video": False, "coco": False},
        }

    def propagate(self, budget_s: float | None) -> None:
        """See `Desk`."""
        raise InputError("not yet")

    def cancel(self) -> None:
        """See `Desk`."""

    def export(self, kind: str) -> None:
        """See `Desk`."""
        raise InputError("not yet")

    def exported(self, kind: str) -> Path:
        """See `Desk`."""
        raise InputError("not yet")

    def set_status(self, index: int, status: str) -> None:
        """See `Desk`."""
        raise only_for_folders()

    def reset(self) -> None:
        """See `Desk`."""
        raise only_for_folders()

    def close(self) -> None:
        """See `Desk`."""
        self.session.events.close()
