"""The road, stage by stage: the only place that chains clicks, masks, networks and files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dextr_vos.annotation.document import Annotations, load_annotations, save_annotations
from dextr_vos.annotation.segmenter import Segmenter, label_frame
from dextr_vos.frames import Clip
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.masks import Labels, write_labels
from dextr_vos.propagation.finetune import OnStep
from dextr_vos.propagation.keyframes import read_keyframes
from dextr_vos.propagation.propagate import Plan, propagate
from dextr_vos.propagation.record import RunRecord
from dextr_vos.propagation.tiers import Tier
from dextr_vos.workspace import Workspace

OnFrame = Callable[[int, int], None]


def _ignore(*_: Any) -> None:
    return None


def annotate(
    clip: Clip,
    annotations: Annotations,
    segmenter: Segmenter,
    workspace: Workspace,
    on_frame: OnFrame = _ignore,
) -> Annotations:
    """Stage 1: make the masks of all clicked frames and put them, with the clicks, into a workspace.

    Keyframes that the workspace has already and `annotations` does not mention stay as they are. Nothing is
    written before every mask is made.

    Args:
        clip: the clip.
        annotations: checked clicks.
        segmenter: the engine.
        workspace: made when it is not there.
        on_frame: called with frames done and in all.

    Returns:
        The workspace's document after the change.

    Raises:
        InputError: the workspace is on another clip, or a frame cannot be read.
    """
    workspace.check_clip(clip)
    before = load_annotations(workspace.annotations) if workspace.annotations.exists() else None
    masks: dict[str, Labels] = {}
    for done, (name, keyframe) in enumerate(annotations.keyframes.items(), start=1):
        image_rgb = clip.read(clip.index_of(name))
        clicks = {number: clicked.points_xy() for number, clicked in keyframe.objects.items()}
        masks[name] = label_frame(segmenter, image_rgb, clicks)
        on_frame(done, len(annotations.keyframes))
    document = annotations.made_by(segmenter.name)
    if before is not None:
        document = before.merged_with(document)
    workspace.write_settings(clip)
    for name, labels in masks.items():
        write_labels(workspace.keyframe(name), labels)
    save_annotations(workspace.annotations, document)
    return document


def train_propagation(
    clip: Clip,
    source: Path,
    out: Path,
    tier: Tier,
    *,
    device: torch.device,
    parent: Path | None = None,
    seed: int = 0,
    max_steps: int | None = None,
    on_step: OnStep = _ignore,
    on_frame: OnFrame = _ignore,
    stop_asked: StopAsked = never,
) -> RunRecord:
    """Stage 2: fine-tune a network on all keyframes, then segment every frame.

    What is done already and still valid is not done again: a finished training, an unfinished one, masks.

    Args:
        clip: the clip.
        source: a workspace or a folder of masks.
        out: the run's folder.
        tier: kind of network.
        device: where to compute.
        parent: checkpoint to start from.
        seed: of initial weights and random changes.
        max_steps: step limit in place of the recipe's.
        on_step: called with steps done, expected, and loss.
        on_frame: called with frames done and in all.
        stop_asked: asked between steps and frames.

    Returns:
        The record of the run.

    Raises:
        InputError: keyframes do not fit, or the folder holds a run on another clip.
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for; the same call goes on from there.
    """
    plan = Plan(
        clip=clip,
        keyframes=read_keyframes(source, clip),
        names=_object_names(source),
        tier=tier,
        recipe=tier.recipe if max_steps is None else tier.recipe.limited_to(max_steps),
        parent=parent,
        seed=seed,
    )
    return propagate(plan, out, device=device, on_step=on_step, on_frame=on_frame, stop_asked=stop_asked)


def _object_names(source: Path) -> dict[int, str]:
    """Names of the objects by their numbers, as far as a workspace gives any."""
    annotations = Workspace(source).annotations
    if not annotations.exists():
        return {}
    return {entry.id: entry.name for entry in load_annotations(annotations).objects}
