"""A clip on the service: its session, the run in its workspace, and the work that goes on beside them."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.web.exports import FILES, export_file, is_ready
from dextr_vos.web.images import ClipImages
from dextr_vos.web.jobs import Jobs
from dextr_vos.web.run_results import FinishedRun, RunMasks
from dextr_vos.web.segmenter_process import Engine
from dextr_vos.web.service import only_for_folders
from dextr_vos.web.session import ReadOnlyError, Session
from dextr_vos.web.shown_masks import ShownMasks
from dextr_vos.web.state import annotated
from dextr_vos.workspace import Workspace


@dataclass(frozen=True)
class Propagation:
    """How the page propagates.

    Attributes:
        network: "lite" or "osvos".
        settings: of the recipe, `key=value`.
        parent: checkpoint to start from; None takes the network's own.
        max_steps: step limit in place of the recipe's.
        device: where to compute.
        poor_iou: under this the network does not repeat the keyframes' masks, which is told.
    """

    network: str = "lite"
    settings: tuple[str, ...] = ()
    parent: str | None = None
    max_steps: int | None = None
    device: str = "auto"
    poor_iou: float = 0.6


class ClipService:
    """See `Service`.

    Args:
        clip: its frames.
        workspace: made for this clip, or new.
        engine: makes masks of clicks.
        propagation: how masks are propagated.
        readonly: why nothing can be changed, or None.

    Raises:
        InputError: the workspace is on another clip.
    """

    def __init__(
        self,
        clip: Clip,
        workspace: Workspace,
        engine: Engine,
        propagation: Propagation = Propagation(),
        readonly: str | None = None,
    ) -> None:
        workspace.check_clip(clip)
        self.clip = clip
        self.run = workspace.path / "propagation"
        pictures = ClipImages(clip)
        self.session = Session(workspace, pictures, engine, RunMasks(self.run, clip.names), readonly)
        for name in self.session.document.keyframes:
            clip.index_of(name)
        self.masks = ShownMasks(self.session)
        self.propagation = propagation
        self.jobs = Jobs(self.session.events.job, self._made, self._ended)
        if readonly is None:
            workspace.write_settings(clip)

    def state(self) -> dict[str, Any]:
        """See `Service`."""
        session, clip = self.session, self.clip
        finished = self._finished
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
            "job": self.jobs.current,
            "last_job": self.jobs.last,
            "status": None,
            "exports": {kind: is_ready(session.workspace, kind) for kind in FILES},
        }

    def propagate(self, budget_s: float | None) -> None:
        """See `Service`."""
        session = self.session
        if session.readonly is not None:
            raise ReadOnlyError(session.readonly)
        if not any(keyframe.objects for keyframe in session.document.keyframes.values()):
            raise InputError("there is nothing to propagate yet; click on an object in at least one frame")

        def work() -> dict[str, Any]:
            snapshot = session.exclusively(lambda saved: _snapshot(saved.workspace))
            session.run.forget_made()
            return {
                "kind": "propagate",
                "clip": str(self.clip.path.resolve()),
                "workspace": str(snapshot.resolve()),
                "out": str(self.run.resolve()),
                "budget_s": budget_s,
                **asdict(self.propagation),
            }

        self.jobs.start(work)

    def cancel(self) -> None:
        """See `Service`."""
        if self.session.readonly is not None:
            raise ReadOnlyError(self.session.readonly)
        self.jobs.cancel()

    def export(self, kind: str) -> None:
        """See `Service`."""
        if self.session.readonly is not None:
            raise ReadOnlyError(self.session.readonly)
        if not self.session.document.keyframes and not self._finished.done:
            raise InputError("there is no mask yet; click on an object first")
        workspace = self.session.workspace
        work = {
            "kind": "export",
            "export": kind,
            "clip": str(self.clip.path.resolve()),
            "workspace": str(workspace.path.resolve()),
        }
        self.jobs.start(lambda: work)

    def exported(self, kind: str) -> Path:
        """See `Service`."""
        if kind not in FILES:
            raise InputError(f"there is no export of this kind; expected {', '.join(FILES)}")
        path = export_file(self.session.workspace, kind)
        if not path.is_file():
            raise InputError(f"the {kind} are not exported yet; start the export first")
        return path

    def set_status(self, index: int, status: str) -> None:
        """See `Service`."""
        raise only_for_folders()

    def reset(self) -> None:
        """See `Service`."""
        raise only_for_folders()

    def poll(self) -> None:
        """See `Service`."""
        self.session.refresh()

    def close(self) -> None:
        """See `Service`."""
        self.session.events.close()
        self.session.engine.close()
        self.jobs.close()

    @property
    def _finished(self) -> FinishedRun:
        finished = self.session.run.finished
        assert finished is not None
        return finished

    def _made(self, name: str, folder: str) -> None:
        self.session.run.made(name, self.run / folder / "masks" / f"{name}.png")
        self.session.events.frame(self.clip.index_of(name))

    def _ended(self, kind: str, outcome: str) -> None:
        if kind == "propagate":  # of one that was cancelled no export would have the masks either
            self.session.run.forget_made()
        self.session.changed()


def _snapshot(workspace: Workspace) -> Path:
    """The keyframes and the document as they are now, for work beside which a person goes on editing.

    Files are never changed in place, so a link keeps what one was.
    """
    folder = workspace.path / "history" / "propagated"
    if folder.exists():
        shutil.rmtree(folder)
    taken = Workspace(folder)
    taken.keyframes.mkdir(parents=True)
    for source in (workspace.settings, workspace.annotations, *workspace.keyframes.glob("[!.]*.png")):
        target = folder / source.relative_to(workspace.path)
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)
    return folder
