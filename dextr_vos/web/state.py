"""The whole state as the page sees it; the shape is the contract between server and page."""

from datetime import UTC, datetime
from typing import Any

from dextr_vos.annotation.annotations import Annotations
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


# Maninis et al., Deep Extreme Cut, CVPR 2018: drawing the mask of an object takes 79 s
DRAWN_SECONDS_AN_OBJECT = 79.0


def time_summary(document: Annotations, index_of: dict[str, int]) -> dict[str, Any]:
    """Seconds of every object in every frame, and the means of those that have a mask.

    Args:
        document: the annotations.
        index_of: frames by name; others are left out.
    """
    objects = [
        {"frame": index_of[name], "object": number, "seconds": round(spent, 3)}
        for name, of_frame in document.seconds.items()
        if name in index_of
        for number, spent in of_frame.items()
    ]
    objects.sort(key=lambda each: (each["frame"], each["object"]))
    finished = [
        (name, number, document.seconds[name][number])
        for name, keyframe in document.keyframes.items()
        for number in keyframe.objects
        if name in index_of and number in document.seconds.get(name, {})
    ]
    frames = {name for name, _, _ in finished}
    total = sum(spent for _, _, spent in finished)
    return {
        "objects": objects,
        "seconds_an_object": round(total / len(finished), 2) if finished else None,
        "seconds_a_keyframe": round(total / len(frames), 2) if frames else None,
        "drawn_seconds_an_object": DRAWN_SECONDS_AN_OBJECT,
        "total_seconds": round(sum(each["seconds"] for each in objects), 2),
    }
