"""Stage 2 as a whole: keyframe masks in, a run with a network and the masks of every frame out."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.files import atomic_path
from dextr_vos.frames import Clip
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.masks import VOID, Labels, object_ids, write_labels
from dextr_vos.propagation.finetune import Checkpoint, OnStep, TrainingState, finetune
from dextr_vos.propagation.keyframes import Keyframe, fingerprint, object_numbers
from dextr_vos.propagation.run import RunFolder, TrainedNetwork, load_network, save_network
from dextr_vos.propagation.samples import SHORTEST_SIDE, read_samples
from dextr_vos.propagation.segment import frame_labels
from dextr_vos.propagation.tiers import Recipe, Tier, build_network
from dextr_vos.record import RunClip, RunObject, RunRecord, RunTraining, write_record

log = logging.getLogger(__name__)

_KEYFRAMES_TO_CHECK = 10

OnFrame = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """Everything that determines a run.

    Attributes:
        clip: its frames.
        keyframes: what it is taught with, at least one.
        names: names of objects by their numbers; the others are called by their number.
        tier: kind of network.
        recipe: how it is trained.
        parent: checkpoint it starts from.
        seed: of initial weights and random changes.
    """

    clip: Clip
    keyframes: Sequence[Keyframe]
    names: Mapping[int, str]
    tier: Tier
    recipe: Recipe
    parent: Path | None
    seed: int

    @property
    def numbers(self) -> list[int]:
        """Object numbers, one a score channel."""
        return object_numbers(self.keyframes)

    def fingerprint(self) -> str:
        """A digest of all that determines the network; a run goes on, or is done, when it is the same."""
        parts: dict[str, Any] = {
            "keyframes": fingerprint(self.keyframes),
            "frames": _pixel_digest(self.clip, self.keyframes),
            "network": self.tier.name,
            "recipe": self.recipe.as_dict(),
            "parent": None if self.parent is None else _file_digest(self.parent),
            "seed": self.seed,
            "clip": self.clip.identity,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def record(self, state: TrainingState, mark: str, keyframe_iou: dict[int, float]) -> RunRecord:
        """The record of the run, once training has ended in `state`; `mark` is the fingerprint."""
        tail = state.losses[-self.recipe.window :]
        return RunRecord(
            network=self.tier.name,
            clip=RunClip.of(self.clip),
            objects=tuple(
                RunObject(id=number, name=self.names.get(number, f"object {number}"))
                for number in self.numbers
            ),
            keyframes=tuple(keyframe.name for keyframe in self.keyframes),
            longest_side=self.recipe.longest_side,
            settings=self.recipe.as_dict(),
            parent=None if self.parent is None else str(self.parent.resolve()),
            seed=self.seed,
            training=RunTraining(
                steps=state.step,
                stop=state.stop,
                loss=sum(tail) / len(tail),
                seconds=state.seconds,
                keyframe_iou=keyframe_iou,
            ),
            fingerprint=mark,
        )


def propagate(
    plan: Plan,
    out: Path,
    *,
    device: torch.device,
    on_step: OnStep | None = None,
    on_frame: OnFrame | None = None,
    stop_asked: StopAsked = never,
) -> RunRecord:
    """Fine-tune a network and segment every frame; what is done already and still valid is kept.

    Args:
        plan: what to do.
        out: the run's folder.
        device: where to compute.
        on_step: called with steps done, expected, and loss.
        on_frame: called with frames done and in all.
        stop_asked: asked between steps and frames.

    Raises:
        InputError: something would be lost in the folder, or another process works in it.
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for; the same call goes on from there.
    """
    run, mark = RunFolder(out), plan.fingerprint()
    log.debug(
        "%s on %s: %d keyframes, objects %s, fingerprint %s",
        plan.tier.name,
        device,
        len(plan.keyframes),
        plan.numbers,
        mark[:16],
    )
    run.check(plan.clip, plan.keyframes[0].path.parent)
    if min(plan.clip.size_hw) < SHORTEST_SIDE:
        raise InputError(
            f"the frames of {plan.clip.path} are {plan.clip.size_hw[1]}×{plan.clip.size_hw[0]} pixels, "
            f"expected at least {SHORTEST_SIDE} a side"
        )
    if run.is_trained(mark):
        log.info("the network is trained already")
        with run.claimed():
            return _segment_all(plan, run, device, on_frame, stop_asked)
    network = build_network(plan.tier, len(plan.numbers), plan.seed, plan.parent)
    samples = read_samples(plan.clip, plan.keyframes, plan.recipe.longest_side)
    with run.claimed():
        state = finetune(
            network,
            plan.tier,
            plan.recipe,
            samples,
            plan.numbers,
            seed=plan.seed,
            device=device,
            checkpoint=Checkpoint(run.checkpoint, mark),
            on_step=on_step,
            stop_asked=stop_asked,
        )
        iou = _keyframe_iou(plan, network.eval(), device)
        save_network(run.network, network, plan.record(state, mark, iou))
        run.checkpoint.unlink(missing_ok=True)
        return _segment_all(plan, run, device, on_frame, stop_asked)


def segment(
    clip: Clip,
    trained: TrainedNetwork,
    out: Path,
    *,
    device: torch.device,
    on_frame: OnFrame | None = None,
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
        InputError: `out` holds the frames themselves or a person's masks, or a frame cannot be read.
        Interrupted: a stop was asked for; the masks made so far stay.
    """
    _check_segment_folder(out, clip)
    trained.network.to(device)
    for index, name in enumerate(clip.names):
        _stop_between(stop_asked, index, len(clip), f"their masks are in {out}; the same command starts over")
        write_labels(out / f"{name}.png", _labels(trained, clip, index, device))
        if on_frame is not None:
            on_frame(index + 1, len(clip))


def _keyframe_iou(plan: Plan, network: nn.Module, device: torch.device) -> dict[int, float]:
    """Mean IoU of each object over some keyframes: what cannot repeat these is not to be trusted."""
    every = -(-len(plan.keyframes) // _KEYFRAMES_TO_CHECK)
    scores: dict[int, list[float]] = {number: [] for number in plan.numbers}
    for keyframe in plan.keyframes[::every]:
        image_rgb = plan.clip.read(keyframe.index)
        labels = frame_labels(network, plan.tier, plan.recipe.longest_side, plan.numbers, image_rgb, device)
        for number in object_ids(keyframe.labels):
            truth, found = keyframe.labels == number, (labels == number) & (keyframe.labels != VOID)
            scores[number].append(float((truth & found).sum() / (truth | found).sum()))
    return {number: sum(values) / len(values) for number, values in scores.items() if values}


def _segment_all(
    plan: Plan, run: RunFolder, device: torch.device, on_frame: OnFrame | None, stop_asked: StopAsked
) -> RunRecord:
    """Fill `masks/`, going on where an earlier call with the same network was stopped."""
    clip, trained = plan.clip, load_network(run.network)
    if run.is_segmented(trained.record.fingerprint, clip):
        log.info("all masks are there already")
        return trained.record
    unfinished = run.unfinished_masks(trained.record.fingerprint)
    annotated = {keyframe.name: keyframe for keyframe in plan.keyframes}
    trained.network.to(device)
    for index, name in enumerate(clip.names):
        _stop_between(stop_asked, index, len(clip), "everything is kept; the same command goes on from there")
        mask = unfinished / f"{name}.png"
        if name in annotated:
            with atomic_path(mask) as temporary:
                shutil.copyfile(annotated[name].path, temporary)
        elif not mask.exists():
            write_labels(mask, _labels(trained, clip, index, device))
        if on_frame is not None:
            on_frame(index + 1, len(clip))
    run.drop_half_written(unfinished)
    run.finish_masks(unfinished)
    write_record(run.record, trained.record)
    return trained.record


def _labels(trained: TrainedNetwork, clip: Clip, index: int, device: torch.device) -> Labels:
    return frame_labels(
        trained.network, trained.tier, trained.record.longest_side, trained.numbers, clip.read(index), device
    )


def _stop_between(stop_asked: StopAsked, done: int, total: int, how_to_go_on: str) -> None:
    if stop_asked():
        raise Interrupted(f"stopped after {done} of {total} frames, {how_to_go_on}")


def _check_segment_folder(out: Path, clip: Clip) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; expected a folder")
    if out.resolve() == clip.path.resolve():
        raise InputError(
            f"--out {out} is the folder of the frames, which masks would overwrite; give another"
        )
    folder = out.resolve()
    if (folder.name == "masks" and (folder.parent / "run.json").exists()) or (
        folder.name == "keyframes" and (folder.parent / "annotations.json").exists()
    ):
        raise InputError(
            f"--out {out} holds masks that a person annotated, which would be lost; give another"
        )


def _pixel_digest(clip: Clip, keyframes: Sequence[Keyframe]) -> str:
    digest = hashlib.sha256()
    for keyframe in keyframes:
        digest.update(clip.read(keyframe.index).tobytes())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
