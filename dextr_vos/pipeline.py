"""The road, stage by stage: the only place that chains clicks, masks, networks and files."""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dextr_vos.annotation.document import Annotations, load_annotations, save_annotations
from dextr_vos.annotation.segmenter import Segmenter, label_frame
from dextr_vos.errors import InputError, Interrupted, WeightsError
from dextr_vos.files import atomic_path
from dextr_vos.frames import Clip
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.masks import Labels, write_labels
from dextr_vos.propagation.finetune import Checkpoint, OnStep, TrainingState, finetune
from dextr_vos.propagation.keyframes import Keyframe, fingerprint, object_numbers, read_keyframes
from dextr_vos.propagation.run import (
    RunClip,
    RunFolder,
    RunObject,
    RunRecord,
    RunTraining,
    TrainedNetwork,
    load_network,
    network_record,
    read_record,
    save_network,
    write_record,
)
from dextr_vos.propagation.samples import read_samples
from dextr_vos.propagation.segment import frame_labels
from dextr_vos.propagation.tiers import Recipe, Tier, build_network
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

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
    keyframes = read_keyframes(source, clip)
    run = RunFolder(out)
    _check_run(run, clip, keyframes)
    recipe = tier.recipe if max_steps is None else replace(tier.recipe, max_steps=max_steps)
    mark = _fingerprint(keyframes, tier, recipe, parent, seed, clip)
    if _is_trained(run, mark):
        log.info("the network is trained already")
    else:
        names = _object_names(source)
        checkpoint = Checkpoint(run.checkpoint, mark)
        network = build_network(tier, len(object_numbers(keyframes)), seed, parent)
        samples = read_samples(clip, keyframes, recipe.longest_side)
        _require_writable(out)
        state = finetune(
            network,
            tier,
            recipe,
            samples,
            object_numbers(keyframes),
            seed=seed,
            device=device,
            checkpoint=checkpoint,
            on_step=on_step,
            stop_asked=stop_asked,
        )
        record = _record(clip, keyframes, names, tier, recipe, parent, seed, state, mark)
        save_network(run.network, network, record)
        run.checkpoint.unlink(missing_ok=True)
    trained = load_network(run.network)
    _segment_run(clip, keyframes, run, trained, device, on_frame, stop_asked)
    write_record(run.record, trained.record)
    return trained.record


def segment(
    clip: Clip,
    trained: TrainedNetwork,
    out: Path,
    *,
    device: torch.device,
    on_frame: OnFrame = _ignore,
    stop_asked: StopAsked = never,
) -> None:
    """Apply a trained network to every frame of a clip.

    Args:
        clip: any clip; its frames need not have the size the network was trained at.
        trained: see `load_network`.
        out: folder for `<frame>.png`; files of the same names are overwritten.
        device: where to compute.
        on_frame: called with frames done and in all.
        stop_asked: asked between frames.

    Raises:
        InputError: `out` holds the frames themselves, or a frame cannot be read.
        Interrupted: a stop was asked for; the masks made so far stay.
    """
    if out.resolve() == clip.path.resolve():
        raise InputError(
            f"--out {out} is the folder of the frames, which masks would overwrite; give another"
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; expected a folder")
    trained.network.to(device)
    for index, name in enumerate(clip.names):
        _stop_between(stop_asked, index, len(clip), f"their masks are in {out}; the same command starts over")
        write_labels(out / f"{name}.png", _labels(trained, clip, index, device))
        on_frame(index + 1, len(clip))


def _segment_run(
    clip: Clip,
    keyframes: list[Keyframe],
    run: RunFolder,
    trained: TrainedNetwork,
    device: torch.device,
    on_frame: OnFrame,
    stop_asked: StopAsked,
) -> None:
    """Fill `masks/`, going on where an earlier call with the same network was stopped."""
    mark = trained.record.fingerprint
    if run.record.exists() and read_record(run.record).fingerprint == mark and _complete(run.masks, clip):
        log.info("all masks are there already")
        return
    unfinished = run.unfinished_masks(mark)
    annotated = {keyframe.name: keyframe for keyframe in keyframes}
    trained.network.to(device)
    for index, name in enumerate(clip.names):
        _stop_between(stop_asked, index, len(clip), "everything is kept; the same command goes on from there")
        mask = unfinished / f"{name}.png"
        if name in annotated:
            with atomic_path(mask) as temporary:
                shutil.copyfile(annotated[name].path, temporary)
        elif not mask.exists():
            write_labels(mask, _labels(trained, clip, index, device))
        on_frame(index + 1, len(clip))
    run.drop_half_written(unfinished)
    run.finish_masks(unfinished)


def _labels(trained: TrainedNetwork, clip: Clip, index: int, device: torch.device) -> Labels:
    return frame_labels(
        trained.network, trained.tier, trained.record.longest_side, trained.numbers, clip.read(index), device
    )


def _complete(folder: Path, clip: Clip) -> bool:
    return all((folder / f"{name}.png").exists() for name in clip.names)


def _stop_between(stop_asked: StopAsked, done: int, total: int, how_to_go_on: str) -> None:
    if stop_asked():
        raise Interrupted(f"stopped after {done} of {total} frames, {how_to_go_on}")


def _check_run(run: RunFolder, clip: Clip, keyframes: list[Keyframe]) -> None:
    """Refuse a folder in which something would be lost."""
    if run.path.exists() and not run.path.is_dir():
        raise InputError(f"--out {run.path} is a file; expected a folder")
    folder = keyframes[0].path.parent.resolve()
    if run.masks.resolve() in (folder, *folder.parents):
        raise InputError(
            f"the keyframes {folder} are in {run.masks}, which this run would replace; "
            "copy them to another folder"
        )
    if run.record.exists():
        made_on, here = read_record(run.record).clip, _run_clip(clip)
        if made_on != here:
            raise InputError(
                f"{run.path} holds a run on {_told(made_on)}, not on {_told(here)}; give another --out folder"
            )
    elif run.masks.exists() and not run.network.exists():
        raise InputError(
            f"{run.masks} is there and was not made by train-propagation, which would replace it; "
            "give another --out folder"
        )


def _run_clip(clip: Clip) -> RunClip:
    return RunClip(path=str(clip.path.resolve()), frames=len(clip), size_hw=clip.size_hw)


def _told(clip: RunClip) -> str:
    return f"{clip.path} ({clip.frames} frames of {clip.size_hw[1]}×{clip.size_hw[0]})"


def _record(
    clip: Clip,
    keyframes: list[Keyframe],
    names: dict[int, str],
    tier: Tier,
    recipe: Recipe,
    parent: Path | None,
    seed: int,
    state: TrainingState,
    mark: str,
) -> RunRecord:
    tail = state.losses[-recipe.window :]
    return RunRecord(
        network="lite" if tier.name == "lite" else "osvos",
        clip=_run_clip(clip),
        objects=tuple(
            RunObject(id=number, name=names.get(number, f"object {number}"))
            for number in object_numbers(keyframes)
        ),
        keyframes=tuple(keyframe.name for keyframe in keyframes),
        longest_side=recipe.longest_side,
        settings=recipe.as_dict(),
        parent=None if parent is None else str(parent.resolve()),
        seed=seed,
        training=RunTraining(
            steps=state.step, stop=state.stop, loss=sum(tail) / len(tail), seconds=state.seconds
        ),
        fingerprint=mark,
    )


def _require_writable(folder: Path) -> None:
    """Make the folder and raise OSError now, not after a long training."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _object_names(source: Path) -> dict[int, str]:
    """Names of the objects by their numbers, as far as a workspace gives any."""
    annotations = Workspace(source).annotations
    if not annotations.exists():
        return {}
    return {entry.id: entry.name for entry in load_annotations(annotations).objects}


def _is_trained(run: RunFolder, mark: str) -> bool:
    """Whether the run's network is whole and was made of the same things."""
    if not run.network.exists():
        return False
    try:
        if network_record(run.network).fingerprint == mark:
            return True
        log.info("keyframes or settings have changed since %s; training starts anew", run.network)
    except WeightsError:
        log.warning("%s is damaged; training starts anew", run.network)
    return False


def _fingerprint(
    keyframes: list[Keyframe], tier: Tier, recipe: Recipe, parent: Path | None, seed: int, clip: Clip
) -> str:
    """Changes with everything that determines the trained network and its masks."""
    parts: dict[str, Any] = {
        "keyframes": fingerprint(keyframes),
        "network": tier.name,
        "recipe": recipe.as_dict(),
        "parent": None if parent is None else _file_digest(parent),
        "seed": seed,
        "clip": [str(clip.path.resolve()), len(clip), clip.size_hw],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
