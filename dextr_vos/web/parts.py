"""What a change touches of a document, taken out of it and put back: the two sides of an undo."""

import json

from dextr_vos.annotation.document import Annotations
from dextr_vos.web.history import Part


def touched(before: Annotations, after: Annotations) -> list[str]:
    """Frames whose masks or drafts differ."""
    names = {*before.keyframes, *after.keyframes, *before.drafts, *after.drafts}
    return sorted(
        name
        for name in names
        if before.keyframes.get(name) != after.keyframes.get(name)
        or before.drafts.get(name) != after.drafts.get(name)
    )


def taken_out(document: Annotations, names: list[str], objects: bool) -> Part:
    """The frames of these names, and the list of objects where it is wanted, as plain values."""
    frames = {}
    for name in names:
        keyframe, drafts = document.keyframes.get(name), document.drafts.get(name)
        frames[name] = {
            "keyframe": None if keyframe is None else keyframe.model_dump(mode="json"),
            "drafts": None
            if drafts is None
            else {
                str(number): [point.model_dump(mode="json") for point in points]
                for number, points in drafts.items()
            },
        }
    part: Part = {"frames": frames}
    if objects:
        part["objects"] = [entry.model_dump(mode="json") for entry in document.objects]
    return part


def put_back(document: Annotations, part: Part) -> Annotations:
    """The document with those values in the place of its own."""
    content = document.model_dump(mode="json")
    content.setdefault("drafts", {})
    for name, frame in part["frames"].items():
        for key, value in (("keyframes", frame["keyframe"]), ("drafts", frame["drafts"])):
            if value is None:
                content[key].pop(name, None)
            else:
                content[key][name] = value
        content["keyframes"] = dict(sorted(content["keyframes"].items()))
        content["drafts"] = dict(sorted(content["drafts"].items()))
    if "objects" in part:
        content["objects"] = part["objects"]
    return Annotations.model_validate_json(json.dumps(content))
