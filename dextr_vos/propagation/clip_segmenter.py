"""The masks of a clip from a fine-tuned network, and a check of it on the keyframes."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dextr_vos.errors import Interrupted
from dextr_vos.geometry import FloatArray
from dextr_vos.masks import VOID, Labels, object_ids
from dextr_vos.propagation.confidence import confidence
from dextr_vos.propagation.keyframes import (
    AnnotatedClip,
    Span,
    SpanPart,
    spans_between,
    wanted_parts,
)
from dextr_vos.propagation.model import Propagator
from dextr_vos.propagation.postprocess import full_size, labels_of, labels_of_probs
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks

_KEYFRAMES_TO_CHECK = 10


@dataclass(frozen=True)
class PropagatedFrame:
    """The result for one frame.

    Attributes:
        index: of the frame in the clip.
        labels: H×W uint8, 0 background and object ids; a keyframe's labels are those it was given.
        probabilities: K×H×W float32 in [0, 1], one map an object, in the order of `object_ids`.
        confidence: by object id, the IoU to be expected, in [0, 1]; 1 in keyframes, 0 where the object is
            lost: in a shot without a keyframe, or where nothing is found though the keyframes around show it.
        object_ids: K ids.
        is_keyframe: whether the labels were given.
    """

    index: int
    labels: Labels
    probabilities: FloatArray
    confidence: dict[int, float]
    object_ids: tuple[int, ...]
    is_keyframe: bool


class ClipSegmenter:
    """Segments the frames of a clip with a fine-tuned network.

    Args:
        annotated: the clip and its keyframes.
        propagator: of the network, which is in evaluation mode.
        min_component_share: see `RunRecord`.
        spans: see `spans_between`; None for all of the clip.
        callbacks: notified of steps done and in all, and asked between steps whether to stop; a frame between
            two keyframes takes two.
    """

    def __init__(
        self,
        annotated: AnnotatedClip,
        propagator: Propagator,
        min_component_share: Mapping[int, float],
        callbacks: Callbacks = NO_CALLBACKS,
        spans: Sequence[Span] | None = None,
    ) -> None:
        self._annotated, self._propagator, self._callbacks = annotated, propagator, callbacks
        self._min_component_share = min_component_share
        self._spans = spans_between(annotated.keyframes, len(annotated)) if spans is None else spans
        self._done = self._total = 0

    def frames(self, wanted: Collection[int] | None = None) -> Iterator[PropagatedFrame]:
        """The results in the order of the frames, each as soon as it is there.

        Args:
            wanted: indices of frames; None for all. Frames that are in no span and no keyframes are left out,
                and of a keyframe nothing is computed.

        Raises:
            Interrupted: a stop was asked for.
            InputError: a frame cannot be read.
        """
        asked = set(range(len(self._annotated)) if wanted is None else wanted)
        parts = {part.begin: part for part in wanted_parts(self._spans, asked)}
        keyframes = asked & self._annotated.keyframes.keys()
        self._done, self._total = 0, len(keyframes) + sum(map(self._propagator.steps, parts.values()))
        for index in sorted(keyframes | parts.keys()):
            if index in keyframes:
                yield self._keyframe(index)
                self._count()
            else:
                yield from (frame for frame in self._part(parts[index]) if frame.index in asked)

    def _keyframe(self, index: int) -> PropagatedFrame:
        labels, ids = self._annotated.keyframes[index].labels, self._annotated.object_ids
        probs = np.stack([labels == object_id for object_id in ids]).astype(np.float32)
        return PropagatedFrame(index, labels, probs, dict.fromkeys(ids, 1.0), tuple(ids), is_keyframe=True)

    def _part(self, part: SpanPart) -> Iterator[PropagatedFrame]:
        ids, expected = self._annotated.object_ids, self._expected_objects(part.span)
        for prediction in self._propagator.propagate(part, self._step, self._count):
            probs = full_size(prediction)
            labels = labels_of_probs(probs, ids, self._min_component_share)
            scores = dict(zip(ids, confidence(prediction), strict=True))
            scores |= {each: 0.0 for each in expected if not (labels == each).any()}
            yield PropagatedFrame(prediction.index, labels, probs, scores, tuple(ids), is_keyframe=False)

    def _expected_objects(self, span: Span) -> set[int]:
        """The objects that every keyframe beside a span shows; without them, a mask there has lost them."""
        ends = [end for end in (span.before, span.after) if end is not None]
        shown = [set(object_ids(self._annotated.keyframes[end].labels)) for end in ends]
        return set.intersection(*shown) if shown else set()

    def _count(self) -> None:
        self._done += 1
        self._callbacks.on_frame(self._done, self._total)

    def _step(self) -> None:
        self._count()
        if self._callbacks.stop_asked():
            raise Interrupted(
                f"stopped after {self._done} of {self._total} steps, everything is kept; "
                "the same command continues from there"
            )


def keyframe_iou(
    annotated: AnnotatedClip,
    propagator: Propagator,
    on_keyframe: Callable[[int, int], None] = lambda done, total: None,
) -> dict[int, float]:
    """Mean IoU of each object over some keyframes: a network that cannot repeat them is not to be trusted.

    Args:
        annotated: the clip and its keyframes.
        propagator: of the fine-tuned network.
        on_keyframe: called with keyframes done and in all.

    Returns:
        IoU in [0, 1] by object id.
    """
    ids = annotated.object_ids
    scores: dict[int, list[float]] = {object_id: [] for object_id in ids}
    checked = annotated.some_keyframes(_KEYFRAMES_TO_CHECK)
    for done, keyframe in enumerate(checked):
        on_keyframe(done, len(checked))
        labels = labels_of(propagator.repeat(keyframe.index), ids)
        for object_id in object_ids(keyframe.labels):
            truth = keyframe.labels == object_id
            found = (labels == object_id) & (keyframe.labels != VOID)
            scores[object_id].append(float((truth & found).sum() / (truth | found).sum()))
    return {object_id: sum(values) / len(values) for object_id, values in scores.items() if values}
