"""What the mask of a frame was made from: the keyframes on its sides, and everything else but the network.

Masks with the same origin need not be made again. What lies between two keyframes is left alone by a
correction elsewhere, though the network has learned from it.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.propagation.keyframes import Span, spans_between
from dextr_vos.run_files import RunRecord, RunSpan


class MaskOrigin(NamedTuple):
    """What a mask was made from.

    Attributes:
        before: name of the keyframe from which it was tracked forward, if any.
        after: name of the keyframe from which it was tracked backward, if any.
        digest: of both keyframes' masks, of all frames and of all settings.
    """

    before: str | None
    after: str | None
    digest: str


def settings_and_frames(base_fingerprint: str, frames_digest: str) -> str:
    """What masks depend on besides keyframes; runs of earlier versions knew no digest of the frames."""
    return f"{base_fingerprint} {frames_digest}" if frames_digest else base_fingerprint


def origins_in(
    spans: Iterable[Span], names: Sequence[str], keyframe_digests: Mapping[str, str], made_by: str
) -> dict[int, MaskOrigin]:
    """The origin of the mask of each frame in spans.

    Args:
        spans: of the clip.
        names: of the clip's frames.
        keyframe_digests: see `RunRecord`.
        made_by: see `settings_and_frames`.
    """
    origins: dict[int, MaskOrigin] = {}
    for span in spans:
        before, after = (None if end is None else names[end] for end in (span.before, span.after))
        ends = [None if name is None else [name, keyframe_digests.get(name)] for name in (before, after)]
        digest = hashlib.sha256(json.dumps([made_by, ends]).encode()).hexdigest()[:16]
        origins |= dict.fromkeys(range(span.first, span.last + 1), MaskOrigin(before, after, digest))
    return origins


def recorded_origins(record: RunRecord, clip: Clip) -> dict[int, MaskOrigin]:
    """The origin of each mask of a run that is no keyframe's; of all of them for a record without spans."""
    if record.spans is None:
        spans = spans_between(map(clip.index_of, record.keyframes), len(clip))
        return origins_in(spans, clip.names, record.keyframe_digests, record.base_fingerprint)
    return {
        index: MaskOrigin(span.before, span.after, span.digest)
        for span in record.spans
        for index in range(clip.index_of(span.first), clip.index_of(span.last) + 1)
    }


def outdated_frames(record: RunRecord, names: Sequence[str], made: Collection[str]) -> set[int]:
    """Frames whose masks the same keyframes and settings, propagated in both directions, would make again.

    Args:
        record: of the run; one without spans has no such frames.
        names: of the clip's frames.
        made: names of the frames that have masks.

    Raises:
        InputError: the record names frames that are not in the clip.
    """
    if record.spans is None:
        return set()
    index_of = {name: index for index, name in enumerate(names)}
    across = record.model != "lite" or record.settings.get("tracking", {}).get("across_cuts", False)
    try:
        keyframes = [index_of[name] for name in record.keyframes]
        cuts = [] if across else [index_of[name] for name in record.cuts or ()]
        origins = {
            index: MaskOrigin(span.before, span.after, span.digest)
            for span in record.spans
            for index in range(index_of[span.first], index_of[span.last] + 1)
        }
    except KeyError as error:
        raise InputError(
            f"the run names the frame {error}, which its clip has not; propagate again"
        ) from None
    spans = spans_between(keyframes, len(names), cuts=cuts)
    made_by = settings_and_frames(record.base_fingerprint, record.frames_digest)
    wanted = origins_in(spans, names, record.keyframe_digests, made_by)
    return {index for index, each in wanted.items() if names[index] in made and origins.get(index) != each}


def run_spans(origins: Mapping[int, MaskOrigin], names: Sequence[str]) -> tuple[RunSpan, ...]:
    """Origins as a record has them: consecutive frames of one origin are one entry."""
    spans = []
    # the difference to the place among them is the same in consecutive frames
    places = enumerate(sorted(origins))
    for (origin, _), group in groupby(places, key=lambda place: (origins[place[1]], place[1] - place[0])):
        indices = [index for _, index in group]
        spans.append(RunSpan(first=names[indices[0]], last=names[indices[-1]], **origin._asdict()))
    return tuple(spans)
