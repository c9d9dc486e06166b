"""Annotation: clicks in, a workspace with the masks of the clicked frames out."""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from dextr_vos.annotation.annotations import Annotations, load_annotations, save_annotations
from dextr_vos.annotation.prompts import Prompt
from dextr_vos.annotation.segmenter import Segmenter, label_frame
from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
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
    with its correction. Nothing is written until all masks are made.

    Args:
        clip: the clip.
        annotations: checked clicks.
        segmenter: makes the masks.
        workspace: where to write; it is created if it does not exist.
        on_frame: called with the number of frames done and of all frames.

    Returns:
        The updated annotations of the workspace.

    Raises:
        InputError: the workspace belongs to another clip, a clicked frame is locked in it, no object is
            clicked at all, or a frame cannot be read.
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
    workspace.keyframes_as_png(annotations.keyframes)
    masks: dict[str, Labels] = {}
    for done, (name, keyframe) in enumerate(annotations.keyframes.items(), start=1):
        clicks = {object_id: clicked.prompt() for object_id, clicked in keyframe.objects.items()}
        path = workspace.annotated_mask(name, name in before.corrections)
        masks[name] = _keyframe_labels(clip, name, clicks, segmenter, path)
        if on_frame is not None:
            on_frame(done, len(annotations.keyframes))
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


def _keyframe_labels(
    clip: Clip, name: str, clicks: Mapping[int, Prompt], segmenter: Segmenter, before: Path
) -> Labels:
    """Labels of the clicked objects of a frame, above the other objects of the mask `before`, if any."""
    labels = label_frame(segmenter, clip.read(clip.index_of(name)), clicks)
    for object_id in set(clicks) - set(object_ids(labels)):
        log.warning("object %d has no pixel in frame '%s': another one covers it there", object_id, name)
    if not clicks or not before.exists():
        return labels
    kept = read_labels(before, clip.size_hw)
    kept[np.isin(kept, list(clicks))] = 0
    return np.where(labels > 0, labels, kept)
