"""Where the stages meet: what stage 1 left in a workspace becomes the plan of stage 2."""

from collections.abc import Sequence
from pathlib import Path

import torch

from dextr_vos.annotation.annotations import Annotations, load_annotations
from dextr_vos.clip import Clip
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.masks import object_ids
from dextr_vos.propagation.clip_segmenter import OnFrame
from dextr_vos.propagation.finetune import OnStep
from dextr_vos.propagation.keyframes import Keyframe, read_keyframes
from dextr_vos.propagation.models import Model, check_following
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.propagate import OnPlan, propagate
from dextr_vos.run_files import RunRecord
from dextr_vos.workspace import Workspace


def train_propagation(
    clip: Clip,
    source: Path,
    out: Path,
    model: Model,
    *,
    device: torch.device,
    parent: Path | None = None,
    seed: int = 0,
    max_steps: int | None = None,
    fresh: bool = False,
    budget_s: float | None = None,
    on_plan: OnPlan | None = None,
    on_step: OnStep | None = None,
    on_frame: OnFrame | None = None,
    stop_asked: StopAsked = never,
) -> RunRecord:
    """Stage 2: fine-tune a network on all keyframes, then segment every frame.

    What is done already and still valid is not done again: a finished training, an unfinished one, masks.

    Args:
        clip: the clip.
        source: a workspace or a folder of masks.
        out: the run's folder.
        model: kind of network.
        device: where to compute.
        parent: checkpoint to start from.
        seed: of initial weights and random changes.
        max_steps: step limit in place of the recipe's.
        fresh: begin anew, and not with the network that an earlier run left.
        budget_s: seconds that fine-tuning and segmenting may take; None lets them end by themselves.
        on_plan: called before the training with what is to be done and how long it will take.
        on_step: called with steps done, expected, and loss.
        on_frame: called with frames done and in all.
        stop_asked: asked between steps and frames.

    Returns:
        The record of the run.

    Raises:
        ConfigError: `own_share` was given to a network that follows.
        InputError: keyframes do not fit, workspace or run are on another clip.
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for; the same call goes on from there.
    """
    check_following(model)
    workspace = Workspace(source)
    is_workspace = workspace.keyframes.is_dir()
    if is_workspace:
        workspace.check_clip(clip)
    keyframes = read_keyframes(source, clip)
    document = (
        load_annotations(workspace.annotations) if is_workspace and workspace.annotations.exists() else None
    )
    plan = Plan(
        clip=clip,
        keyframes=keyframes,
        names={} if document is None else {entry.id: entry.name for entry in document.objects},
        model=model,
        recipe=model.recipe if max_steps is None else model.recipe.limited_to(max_steps),
        parent=parent,
        seed=seed,
        fresh=fresh,
        budget_s=budget_s,
        clicked=document is not None and _all_clicked(document, keyframes),
    )
    return propagate(
        plan,
        out,
        device=device,
        on_plan=on_plan,
        on_step=on_step,
        on_frame=on_frame,
        stop_asked=stop_asked,
    )


def _all_clicked(document: Annotations, keyframes: Sequence[Keyframe]) -> bool:
    """Whether every mask is made of clicks alone."""
    return all(
        document.is_clicked(keyframe.name, number)
        for keyframe in keyframes
        for number in object_ids(keyframe.labels)
    )
