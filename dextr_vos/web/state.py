"""The whole state as the page sees it; the shape is the contract between server and page."""

from datetime import UTC, datetime
from typing import Any

from dextr_vos.annotation.document import Annotations
from dextr_vos.web import edits
from dextr_vos.web.session import Session


def annotated(session: Session) -> dict[str, Any]:
    """What of the state is the same for clips and folders."""
    document, pictures = session.document, session.pictures
    undo, redo = session.labels_of_history()
    return {
        "version": session.version,
        "readonly": session.readonly,
        "frames": len(pictures.names),
        "names": list(pictures.names),
        "objects": [
            {
                "id": entry.id,
                "name": entry.name,
                "colour": edits.colour_of(entry),
                "visible": entry.visible,
            }
            for entry in document.objects
        ],
        "keyframes": {
            str(index): frame_state(document, name)
            for index, name in enumerate(pictures.names)
            if name in document.keyframes or name in document.drafts
        },
        "history": {"undo": undo, "redo": redo},
        "engine": session.engine.name,
        "saved": saved_at(session),
    }


def frame_state(document: Annotations, name: str) -> dict[str, Any]:
    """One annotated frame."""
    keyframe = document.keyframes.get(name, edits.EMPTY)
    seconds = document.seconds.get(name, {})
    objects: dict[str, Any] = {}
    for number in sorted({*keyframe.objects, *document.drafts.get(name, {})}):
        clicked = keyframe.objects.get(number)
        objects[str(number)] = {
            "points": [[point.x, point.y] for point in edits.points_of(document, name, number)],
            "painted": clicked is not None and clicked.painted,
            "mask": clicked is not None,
            "seconds": round(seconds.get(number, 0.0), 1),
        }
    return {"locked": keyframe.locked, "draft": name not in document.keyframes, "objects": objects}


def saved_at(session: Session) -> str | None:
    """When the last change was saved, in UTC."""
    try:
        told = session.workspace.annotations.stat()
    except OSError:
        return None
    return datetime.fromtimestamp(told.st_mtime, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
