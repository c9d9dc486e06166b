"""What the page works on: everything that the routes ask for, and the service of a clip.

The service of separate images is `image_folder.service.FolderService`.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from starlette.types import ASGIApp

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.files import digest_or_empty
from dextr_vos.run_files import POOR_IOU, RunPaths
from dextr_vos.web import schemas
from dextr_vos.web.exports import check_format, exported_files
from dextr_vos.web.images import ClipImages
from dextr_vos.web.jobs import Jobs
from dextr_vos.web.masks import FinishedRun, RunMasks
from dextr_vos.web.replaced_masks import ReplacedMasks
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.session import Session
from dextr_vos.web.uploads import Uploads, uploaded_masks
from dextr_vos.workspace import Workspace

T = TypeVar("T")


class Service(Protocol):
    """A session and what surrounds it."""

    session: Session

    def state(self) -> dict[str, Any]:
        """Everything that the page shows, except images, masks and names of frames."""
        ...

    def propagate(self, how: schemas.Propagate) -> int:
        """Start to make masks of frames; the number of corrections that became keyframes for it."""
        ...

    def cancel(self) -> None:
        """Stop the job; what it has finished is kept."""
        ...

    def export(self, asked: schemas.Export) -> None:
        """Start an export."""
        ...

    def exported(self, name: str) -> Path:
        """The file that an export has left."""
        ...

    def upload(self, upload: str, path: str, piece: bytes, offset: int) -> None:
        """Take the next piece of a file to import."""
        ...

    def import_masks(self, asked: schemas.Import) -> tuple[str, ...]:
        """Make keyframes of what was uploaded; what was left out or differs, see `Imported.warnings`."""
        ...

    def set_status(self, index: int, status: str) -> None:
        """Set the progress of an image."""
        ...

    def reset(self) -> None:
        """Forget all progress."""
        ...

    def poll(self) -> None:
        """Look for changes on disk that were not made through this server."""
        ...

    def close(self) -> None:
        """End all work; nothing is lost."""
        ...


def session_state(session: Session) -> dict[str, Any]:
    """The part of the state that clips and folders share."""
    document, images = session.document, session.images
    undo, redo = session.history_labels
    return {
        "session": session.events.session,
        "version": session.version,
        "readonly": session.readonly,
        "frames": len(images.names),
        "corrects": session.loader.corrects,
        "objects": schemas.objects_state(document),
        "labels": schemas.labels_state(session.labels.labels),
        "keyframes": schemas.keyframes_state(document, images.index_of),
        "history": {"undo": undo, "redo": redo},
        "saved": schemas.saved_at(session.workspace.annotations),
    }


def changed_by(service: Service, act: Callable[[], T]) -> tuple[T, dict[str, Any]]:
    """Make an edit.

    Returns:
        What `act` returns; and what it changed: `session`, `base` and `version` of the states before and
        after it, and `changes`, see `schemas.state_diff`.
    """
    with service.session.editing:  # so that nobody else's edit comes between
        before = service.state()
        result = act()
        after = service.state()
    changes = schemas.state_diff(before, after)
    versions = {"session": after["session"], "base": before["version"], "version": after["version"]}
    return result, {**versions, "changes": changes}


@dataclass(frozen=True)
class Propagation:
    """How the page propagates.

    Attributes:
        model: "lite", "paper" or "sam2".
        settings: of the recipe, `key=value`.
        parent: checkpoint to start from; None takes the model's own.
        max_steps: step limit in place of the recipe's.
        device: where to compute.
        min_iou: a network that reproduces a keyframe's mask with a lower IoU is reported as poor.
    """

    model: str = "lite"
    settings: tuple[str, ...] = ()
    parent: str | None = None
    max_steps: int | None = None
    device: str = "auto"
    min_iou: float = POOR_IOU


class ClipService:
    """The service of a clip; see `Service`.

    Args:
        clip: its frames.
        workspace: of this clip, or a new one.
        loader: loads the segmenter that makes masks of clicks.
        propagation: how masks are propagated.
        readonly: why nothing can be changed, or None.
        shared_labels: label set for a workspace that has none, or None.

    Attributes:
        project: the place of the clip in a project, for the page; None where there is no project.
        app: its application in a project, which lives as long as the clip is open; None where there is none.
        on_run_end: called with how a run has ended, see `Jobs.last`.

    Raises:
        InputError: the workspace is of another clip.
    """

    def __init__(
        self,
        clip: Clip,
        workspace: Workspace,
        loader: SegmenterLoader,
        propagation: Propagation = Propagation(),
        readonly: str | None = None,
        shared_labels: Path | None = None,
    ) -> None:
        workspace.check_clip(clip)
        self.clip = clip
        self.project: dict[str, Any] | None = None
        self.app: ASGIApp | None = None
        self.on_run_end: Callable[[dict[str, Any] | None], None] = lambda last: None
        self.run = workspace.run
        self._run_masks = RunMasks(self.run, clip.names)
        self._replaced = ReplacedMasks(self.run, workspace.replaced_masks)
        self.session = Session(workspace, ClipImages(clip), loader, self._run_masks, readonly, shared_labels)
        for name in self.session.document.keyframes:
            clip.index_of(name)
        self._polled_run = self._run_before = self._finished.stamp
        self.propagation = propagation
        self._uploads = Uploads()
        self.jobs = Jobs(self._job_progress, self._mask_made, self._job_ended)
        if readonly is None:
            workspace.write_settings(clip)

    def state(self) -> dict[str, Any]:
        """See `Service`."""
        session, clip, finished = self.session, self.clip, self._finished
        document = session.document
        annotated = {*document.keyframes, *document.corrections}
        corrected = finished.exists and bool(document.corrections)
        return {
            **session_state(session),
            "mode": "clip",
            "project": self.project,
            "title": clip.path.stem if clip.path.is_file() else clip.path.resolve().name,
            "fps": clip.fps,
            "timed": getattr(clip, "times_s", None) is not None,
            "size": [clip.size_hw[1], clip.size_hw[0]],
            "masks": {
                "done": finished.is_complete(annotated),
                "stale": corrected or finished.is_stale(session.digests),
            },
            "confidence": finished.confidence({entry.id for entry in document.objects}),
            "object_confidence": finished.object_confidence(),
            "cuts": finished.cuts,
            "flashes": finished.flashes,
            "poor": finished.poor,
            "replaced": self._replaced.stamp,
            "suggested": finished.suggested([clip.index_of(name) for name in annotated]),
            "job": self.jobs.current,
            "last_job": self.jobs.last,
            "status": None,
            "exports": exported_files(session.workspace),
        }

    def propagate(self, how: schemas.Propagate, drafts: Mapping[str, str] | None = None) -> int:
        """See `Service`.

        Args:
            how: which frames, and how long it may take.
            drafts: those that may become keyframes, see `draft_digests`; None: all.
        """
        session, document = self.session, self.session.document
        session.check_writable()
        frames = (*document.keyframes.values(), *document.corrections.values())
        if not any(frame.objects for frame in frames):
            raise InputError("there is nothing to propagate yet; click on an object in at least one frame")
        annotated = (*document.keyframes, *document.corrections)
        _check_reached(how, [self.clip.index_of(name) for name in annotated], self.clip.names)
        confirmed = 0

        def prepare() -> dict[str, Any]:
            nonlocal confirmed
            with session.editing:
                if drafts is not None and not draft_digests(session.workspace).items() <= drafts.items():
                    raise InputError("it has new drafts; look at them and propagate it again")
                confirmed = session.confirm_corrections()
                try:
                    snapshot = _snapshot(session.workspace)
                    self._run_masks.clear_in_progress()
                    self._replaced.begin()
                except OSError:
                    if confirmed:
                        session.undo()  # they stay drafts until a run uses them
                    raise
            self._run_before = self._finished.stamp
            return {
                "kind": "propagate",
                "clip": str(self.clip.path.resolve()),
                "workspace": str(snapshot.resolve()),
                "out": str(self.run.path.resolve()),
                "budget_s": how.budget,
                "direction": how.direction,
                "frames": how.frames,
                **asdict(self.propagation),
            }

        self.jobs.start(prepare)
        session.changed()  # only now, so that every page that fetches the state sees the job
        return confirmed

    def cancel(self) -> None:
        """See `Service`."""
        self.session.check_writable()
        self.jobs.cancel()

    def export(self, asked: schemas.Export) -> None:
        """See `Service`."""
        self.session.check_writable()
        check_format(asked.format)
        if not self.session.document.keyframes and not self._finished.exists:
            raise InputError("there is no mask yet; click on an object first")
        work = {
            "kind": "export",
            "export": asked.model_dump(mode="json"),
            "clip": str(self.clip.path.resolve()),
            "workspace": str(self.session.workspace.path.resolve()),
        }
        self.jobs.start(lambda: work)

    def exported(self, name: str) -> Path:
        """See `Service`."""
        workspace = self.session.workspace
        if name not in [each["name"] for each in exported_files(workspace)]:
            raise InputError(f"there is no export '{name:.100}' in {workspace.exports}; export it first")
        return workspace.exports / name

    def upload(self, upload: str, path: str, piece: bytes, offset: int) -> None:
        """See `Service`."""
        self.session.check_writable()
        self._uploads.append(upload, path, piece, offset)

    def import_masks(self, asked: schemas.Import) -> tuple[str, ...]:
        """See `Service`."""
        self.session.check_writable()
        with self._uploads.taken(asked.upload) as folder:
            edit = uploaded_masks(folder, asked, self.clip, self.session.workspace)
            return self.session.make(edit).warnings

    def set_status(self, index: int, status: str) -> None:
        """See `Service`."""
        raise _only_for_folders()

    def reset(self) -> None:
        """See `Service`."""
        raise _only_for_folders()

    def poll(self) -> None:
        """See `Service`."""
        self.session.refresh()
        if self.session.access.is_lost():
            self.jobs.kill()
            return
        before = self.session.labels.labels
        if self.session.labels.read() != before:
            self.session.changed()
        if self._finished.stamp != self._polled_run:  # a command may propagate into the workspace, too
            self._polled_run = self._finished.stamp
            self.session.changed()

    def close(self) -> None:
        """See `Service`."""
        self.session.loader.close()
        self.release()

    def release(self) -> None:
        """End all work on the clip; the segmenter stays, which other clips may use."""
        self.session.close()
        self.jobs.close()
        self._uploads.close()
        self.clip.close()

    @property
    def _finished(self) -> FinishedRun:
        finished = self._run_masks.finished
        assert finished is not None
        return finished

    def _mask_made(self, name: str, folder: str) -> None:
        self._run_masks.add_in_progress(name, RunPaths(self.run.path / folder).mask(name))
        self.session.events.frame(self.clip.index_of(name))

    def _job_progress(self, job: dict[str, Any] | None) -> None:
        if job is None:  # only now does the state say that no job is in progress
            self.session.changed()
        self.session.events.job(job)

    def _job_ended(self, kind: str) -> None:
        if kind != "propagate":
            return
        self.on_run_end(self.jobs.last)
        if not self.session.access.is_lost():
            # the masks of a cancelled run would not be in any export
            self._run_masks.clear_in_progress()
            self._replaced.end(self._finished.stamp != self._run_before)


def draft_digests(workspace: Workspace) -> dict[str, str]:
    """Digests of the masks of the corrected frames that are no keyframes yet, by name of the frame."""
    return {name: digest_or_empty(workspace.correction(name)) for name in workspace.corrected_frames()}


def _only_for_folders() -> InputError:
    return InputError("this is for a folder of separate images; start dextr-vos annotate with --config")


def _check_reached(how: schemas.Propagate, keyframes: Sequence[int], names: Sequence[str]) -> None:
    """Refuse to propagate where there would be no mask.

    Raises:
        InputError: frames that are not there, or no keyframe on the side from which they are reached.
    """
    first, last = how.frames or (0, len(names) - 1)
    if not first <= last < len(names):
        raise InputError(
            f"expected a first and a last frame from 0 to {len(names) - 1}, got {first} and {last}"
        )
    if how.direction == "forward" and min(keyframes) > last - 1:
        raise InputError(f"there is no keyframe before frame {names[last]} to go forward from; annotate one")
    if how.direction == "backward" and max(keyframes) < first + 1:
        raise InputError(f"there is no keyframe after frame {names[first]} to go backward from; annotate one")


def _snapshot(workspace: Workspace) -> Path:
    """The keyframes and the document as they are now, for a run beside which a person continues to edit.

    Files are never changed in place, so a link keeps its content.
    """
    snapshot = workspace.snapshot
    if snapshot.path.exists():
        shutil.rmtree(snapshot.path)
    snapshot.keyframes.mkdir(parents=True)
    for source in (workspace.settings, workspace.annotations, *workspace.keyframe_files()):
        target = snapshot.path / source.relative_to(workspace.path)
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)
    return snapshot.path
