"""How long annotating took, against drawing by hand."""

from typing import Any

from dextr_vos.annotation.document import Annotations

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
