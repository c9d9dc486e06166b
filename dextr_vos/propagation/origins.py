"""What the mask of a frame was made from: the keyframes on its sides, and everything else but the network.

Masks with the same origin need not be made again. What lies between two keyframes is left alone by a
correction elsewhere, though the network has learned from it.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from dextr_vos.mask_file import plain_name
from dextr_vos.propagation.keyframes import Span, spans_between
from dextr_vos.propagation.recipes import config_named, cuts_that_count
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


def made_from_key(base_fingerprint: str, frames_digest: str) -> str:
    """What masks are made from besides keyframes: settings, parent and frames.

    Args:
        base_fingerprint: see `RunRecord`.
        frames_digest: see `RunRecord`; runs of earlier versions knew none.

    Returns:
        A key that is equal where all of that is; the base fingerprint alone without a digest of the frames.
    """
    return f"{base_fingerprint} {frames_digest}" if frames_digest else base_fingerprint


def origins_in(
    spans: Iterable[Span], names: Sequence[str], keyframe_digests: Mapping[str, str], made_from: str
) -> dict[int, MaskOrigin]:
    """The origin of the mask of each frame in spans.

    Args:
        spans: of the clip.
        names: of the clip's frames.
        keyframe_digests: see `RunRecord`.
        made_from: see `made_from_key`.
    """
    origins: dict[int, MaskOrigin] = {}
    for span in spans:
        before, after = (None if end is None else names[end] for end in (span.before, span.after))
        ends = [None if name is None else [name, keyframe_digests.get(name)] for name in (before, after)]
        digest = hashlib.sha256(json.dumps([made_from, ends]).encode()).hexdigest()[:16]
        origins |= dict.fromkeys(range(span.first, span.last + 1), MaskOrigin(before, after, digest))
    return origins


def recorded_origins(record: RunRecord, names: Sequence[str]) -> dict[int, MaskOrigin]:
    """The origin of each mask of a run that is no keyframe's; of all of them for a record without spans.

    Args:
        record: of the run.
        names: of the clip's frames; what the record says of other frames is left out.
    """
    index_of = _index_of(names)
    if record.spans is None:
        spans = spans_between(_known(record.keyframes, index_of), len(names))
        return origins_in(spans, names, record.keyframe_digests, record.base_fingerprint)
    return {
        index: MaskOrigin(span.before, span.after, span.digest)
        for span in record.spans
        if len(ends := _known((span.first, span.last), index_of)) == 2
        for index in range(ends[0], ends[1] + 1)
    }


def outdated_frames(record: RunRecord, names: Sequence[str], made: Collection[str]) -> set[int]:
    """Frames whose masks the same keyframes and settings, propagated in both directions, would make again.

    Args:
        record: of the run.
        names: of the clip's frames.
        made: names of the frames that have masks.

    Raises:
        InputError: its model is unknown.
    """
    index_of = _index_of(names)
    cuts = cuts_that_count(
        config_named(record.model), record.across_cuts, _known(record.cuts or (), index_of)
    )
    spans = spans_between(_known(record.keyframes, index_of), len(names), cuts=cuts)
    made_from = made_from_key(record.base_fingerprint, record.frames_digest)
    wanted = origins_in(spans, names, record.keyframe_digests, made_from)
    # an earlier version did not look at every frame
    origins = recorded_origins(record, names) if record.frames_digest else {}
    return {index for index, each in wanted.items() if names[index] in made and origins.get(index) != each}


def _index_of(names: Sequence[str]) -> dict[str, int]:
    return {plain_name(name): index for index, name in enumerate(names)}


def _known(names: Iterable[str], index_of: Mapping[str, int]) -> list[int]:
    """Indices of the frames that are in the clip."""
    return [index_of[name] for name in map(plain_name, names) if name in index_of]


def run_spans(origins: Mapping[int, MaskOrigin], names: Sequence[str]) -> tuple[RunSpan, ...]:
    """Origins as a record has them: consecutive frames of one origin are one entry."""
    spans = []
    # the difference to the place among them is the same in consecutive frames
    places = enumerate(sorted(origins))
    for (origin, _), group in groupby(places, key=lambda place: (origins[place[1]], place[1] - place[0])):
        indices = [index for _, index in group]
        spans.append(RunSpan(first=names[indices[0]], last=names[indices[-1]], **origin._asdict()))
    return tuple(spans)
