"""The masks of a clip from a fine-tuned network, their confidence, and a check."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dextr_vos.errors import Interrupted
from dextr_vos.geometry import FloatArray
from dextr_vos.masks import VOID, Labels, object_ids
from dextr_vos.propagation.bidirectional import expected_iou
from dextr_vos.propagation.keyframes import AnnotatedClip, FramePrediction, Span, spans_between
from dextr_vos.propagation.model import Propagator
from dextr_vos.propagation.postprocess import full_size, labels_of, labels_of_probs
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks

_KEYFRAMES_TO_CHECK = 10


def confidence(prediction: FramePrediction) -> list[float]:
    """Confidence in each object's mask: the IoU with the truth that is to be expected, in [0, 1].

    The network's estimate of it, or where it makes none the IoU that the soft mask expects of its own hard
    mask, times the agreement of the two passes. 0 in a shot without a keyframe.
    """
    estimate = expected_iou(prediction.probs) if prediction.quality is None else prediction.quality
    values = estimate * prediction.agreement
    return [round(float(value), 4) for value in values]


@dataclass(frozen=True)
class PropagatedFrame:
    """The result for one frame.

    Attributes:
        index: of the frame in the clip.
        labels: H×W uint8, 0 background and object ids; a keyframe's labels are those it was given.
        probabilities: K×H×W float32 in [0, 1], one map an object, in the order of `object_ids`.
        confidence: by object id, in [0, 1]; 1 in keyframes.
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
        callbacks: notified of frames done and in all, and asked between frames whether to stop.
    """

    def __init__(
        self,
        annotated: AnnotatedClip,
        propagator: Propagator,
        min_component_share: Mapping[int, float],
        callbacks: Callbacks = NO_CALLBACKS,
    ) -> None:
        self._annotated, self._propagator, self._callbacks = annotated, propagator, callbacks
        self._min_component_share = min_component_share
        self._done = self._total = 0

    def frames(self, wanted: Sequence[int] | None = None) -> Iterator[PropagatedFrame]:
        """The results in the order of the frames, each as soon as it is there.

        Args:
            wanted: indices of frames, ascending; None for all. A span is segmented from the first frame
                wanted in it to its end, and of a keyframe nothing is computed.

        Raises:
            Interrupted: a stop was asked for.
            InputError: a frame cannot be read.
        """
        annotated = self._annotated
        asked = set(range(len(annotated)) if wanted is None else wanted)
        spans: dict[int, tuple[Span, int]] = {}
        for span in spans_between(annotated.keyframes, len(annotated)):
            begin = next((index for index in range(span.first, span.last + 1) if index in asked), None)
            if begin is not None:
                spans[begin] = (span, begin)
        keyframes = asked & annotated.keyframes.keys()
        segmented = sum(
            (span.last + 1 - begin) * self._propagator.passes(span) for span, begin in spans.values()
        )
        self._done, self._total = 0, len(keyframes) + segmented
        for index in sorted(keyframes | spans.keys()):
            if index in keyframes:
                yield self._keyframe(index)
                self._count()
            else:
                yield from (frame for frame in self._span(*spans[index]) if frame.index in asked)

    def _keyframe(self, index: int) -> PropagatedFrame:
        labels, ids = self._annotated.keyframes[index].labels, self._annotated.object_ids
        probs = np.stack([labels == object_id for object_id in ids]).astype(np.float32)
        return PropagatedFrame(index, labels, probs, dict.fromkeys(ids, 1.0), tuple(ids), is_keyframe=True)

    def _span(self, span: Span, begin: int) -> Iterator[PropagatedFrame]:
        ids = self._annotated.object_ids
        for prediction in self._propagator.propagate(span, begin, self._step, self._count):
            probs = full_size(prediction)
            labels = labels_of_probs(probs, ids, self._min_component_share)
            scores = dict(zip(ids, confidence(prediction), strict=True))
            yield PropagatedFrame(prediction.index, labels, probs, scores, tuple(ids), is_keyframe=False)

    def _count(self) -> None:
        self._done += 1
        self._callbacks.on_frame(self._done, self._total)

    def _step(self) -> None:
        self._count()
        if self._callbacks.stop_asked():
            raise Interrupted(
                f"stopped after {self._done} of {self._total} frames, everything is kept; "
                "the same command continues from there"
            )


def keyframe_iou(annotated: AnnotatedClip, propagator: Propagator) -> dict[int, float]:
    """Mean IoU of each object over some keyframes: a network that cannot repeat them is not to be trusted.

    Args:
        annotated: the clip and its keyframes.
        propagator: of the fine-tuned network.

    Returns:
        IoU in [0, 1] by object id.
    """
    ids = annotated.object_ids
    scores: dict[int, list[float]] = {object_id: [] for object_id in ids}
    for keyframe in annotated.some_keyframes(_KEYFRAMES_TO_CHECK):
        labels = labels_of(propagator.repeat(keyframe.index), ids)
        for object_id in object_ids(keyframe.labels):
            truth = keyframe.labels == object_id
            found = (labels == object_id) & (keyframe.labels != VOID)
            scores[object_id].append(float((truth & found).sum() / (truth | found).sum()))
    return {object_id: sum(values) / len(values) for object_id, values in scores.items() if values}
