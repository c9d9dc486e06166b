"""Annotation: clicks in, a workspace with the masks of the clicked frames out."""

import logging
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from dextr_vos.annotation.annotations import Annotations, load_annotations, save_annotations
from dextr_vos.annotation.prompts import Prompt
from dextr_vos.annotation.segmenter import Segmenter, label_frame
from dextr_vos.clip import Clip
from dextr_vos.errors import InputError, in_frames
from dextr_vos.mask_file import find_mask_file
from dextr_vos.masks import Labels, object_ids, read_labels, write_labels
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

OnFrame = Callable[[int, int], None]


def annotate(
    clip: Clip,
    annotations: Annotations,
    segmenter: Segmenter,
    workspace: Workspace,
    on_frame: OnFrame | None = None,
) -> Annotations:
    """Make the masks of all clicked frames and write them, with the clicks, to a workspace.

    Keyframes of the workspace, and objects in them, that `annotations` does not contain are unchanged. A
    keyframe without objects is emptied. A clicked frame that was corrected on the page becomes a keyframe
    with its correction. Nothing is written until all masks are made, and nothing at all where a mask that was
    not made from clicks alone would be replaced: painted or propagated on the page, or put there by somebody.

    Args:
        clip: the clip.
        annotations: checked clicks.
        segmenter: makes the masks.
        workspace: where to write; it is created if it does not exist.
        on_frame: called with the number of frames done and of all frames.

    Returns:
        The updated annotations of the workspace.

    Raises:
        InputError: the workspace belongs to another clip, a clicked frame is locked in it, a mask that was
            not made from clicks would be replaced, no object is clicked at all, or a frame cannot be read.
    """
    workspace.check_clip(clip)
    workspace.check_links()
    before, document = Annotations(objects=(), keyframes={}), annotations.with_model(segmenter.name)
    if workspace.annotations.exists():
        before = load_annotations(workspace.annotations)
        _refuse_locked(before, document, workspace)
        document = before.merged_with(document)
    if not any(keyframe.objects for keyframe in document.keyframes.values()):
        raise InputError(
            f"no object is clicked in any frame of {workspace.path}; "
            "give four extreme points, a box or a click on one"
        )
    masks: dict[str, Labels] = {}
    lost: list[str] = []
    for done, (name, keyframe) in enumerate(annotations.keyframes.items(), start=1):
        clicks = {object_id: clicked.prompt() for object_id, clicked in keyframe.objects.items()}
        folder = workspace.corrections if name in before.corrections else workspace.keyframes
        file = find_mask_file(folder, name)
        there = None if file is None else read_labels(file, clip.size_hw)
        masks[name] = _keyframe_labels(clip, name, clicks, segmenter, there)
        if there is not None and _replaces_others_work(before, name, clicks, there, masks[name]):
            lost.append(name)
        if on_frame is not None:
            on_frame(done, len(annotations.keyframes))
    if lost:
        raise InputError(
            f"the clicks would replace masks of {workspace.path} that were not made from clicks alone, "
            f"{in_frames(lost)}; move these masks out of {workspace.keyframes}, correct them on the page, or "
            "leave these frames out of the clicks"
        )
    workspace.keyframes_as_png(masks)
    workspace.write_settings(clip)
    for name, labels in masks.items():
        write_labels(workspace.keyframe(name), labels, durable=True)
    save_annotations(workspace.annotations, document)
    log_corrections(before, masks)
    return document


def log_corrections(before: Annotations, names: Iterable[str]) -> None:
    """Say which of the frames that are keyframes now were corrections until now."""
    corrected = [name for name in names if name in before.corrections]
    if corrected:
        log.info(
            "corrected on the page and keyframes with their corrections now: %s",
            ", ".join(corrected),
        )


def _refuse_locked(before: Annotations, newer: Annotations, workspace: Workspace) -> None:
    for name in newer.keyframes:
        if name in before.keyframes and before.keyframes[name].locked:
            raise InputError(
                f"the frame '{name}' is locked in {workspace.path} and stays as it is; unlock it on the page "
                "that dextr-vos annotate opens, or leave it out"
            )


def _replaces_others_work(
    before: Annotations, name: str, clicks: Mapping[int, Prompt], there: Labels, made: Labels
) -> bool:
    """Whether a mask changes an object that was not made from clicks alone, and is not only covered in part.

    A mask that stays the same replaces nothing: a killed call leaves masks that no document lists.

    Args:
        before: the document of the mask that is there.
        name: of the frame.
        clicks: on it; without any, all objects go.
        there: the labels that are there.
        made: those in their place.
    """
    replaced = set(object_ids(there)) & (set(clicks) or set(object_ids(there)))
    return any(
        not before.is_clicked(name, object_id) and not np.array_equal(there == object_id, made == object_id)
        for object_id in replaced
    )


def _keyframe_labels(
    clip: Clip, name: str, clicks: Mapping[int, Prompt], segmenter: Segmenter, before: Labels | None
) -> Labels:
    """Labels of the clicked objects of a frame, above the other objects that are there before, if any."""
    labels = label_frame(segmenter, clip.read(clip.index_of(name)), clicks)
    for object_id in set(clicks) - set(object_ids(labels)):
        log.warning("object %d has no pixel in frame '%s': another one covers it there", object_id, name)
    if not clicks or before is None:
        return labels
    kept = np.where(np.isin(before, list(clicks)), 0, before)
    return np.where(labels > 0, labels, kept)
