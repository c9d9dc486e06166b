"""The part of propagation that computes: a network fine-tuned on a clip, and the masks made with it."""

import logging
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.propagation.batch_source import BatchSource
from dextr_vos.propagation.clip_segmenter import ClipSegmenter, PropagatedFrame, keyframe_iou
from dextr_vos.propagation.finetune import (
    Estimate,
    TrainingCheckpoint,
    TrainingState,
    finetune,
    interpolate_weights,
    seconds_a_frame,
    seconds_a_step,
    within_budget,
)
from dextr_vos.propagation.keyframes import wanted_parts
from dextr_vos.propagation.model import Propagator
from dextr_vos.propagation.models import model_of
from dextr_vos.propagation.origins import MaskOrigin, run_spans
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.run import MadeMask, PendingRun, RunFolder
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks, Recipe
from dextr_vos.propagation.shots import StreamedShots
from dextr_vos.propagation.trained_network import TrainedNetwork, load_network, save_network
from dextr_vos.propagation.training_data import read_samples
from dextr_vos.run_files import RunRecord, RunTraining, read_record

log = logging.getLogger(__name__)


def start_network(plan: Plan) -> nn.Module:
    """The network of a plan before fine-tuning.

    Raises:
        InputError: there is no such parent.
        WeightsError: the parent does not fit.
    """
    return model_of(plan.model).start(len(plan.object_ids), plan.seed, plan.parent)


def complete_run(
    plan: Plan,
    run: RunFolder,
    finished: RunRecord | None,
    network: nn.Module | None,
    device: torch.device,
    callbacks: Callbacks,
    keep_stopped: bool = False,
) -> RunRecord:
    """Train what is not trained and make the masks that are not there; the new run replaces the one there.

    Args:
        plan: what to do.
        run: its folder, which is locked.
        finished: the record of the run that is there.
        network: see `start_network`; None where it is not loaded yet.
        device: where to compute.
        callbacks: notified of the progress, and asked whether to stop.
        keep_stopped: see `propagate_to_run`.

    Raises:
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for; the same call continues from there.
    """
    done = finished is not None and plan.is_trained_by(finished)
    earlier = finished if finished is not None and not done and _can_continue(plan, finished) else None
    continued_from = finished.continued_from if finished is not None and done else None
    pending = run.pending(plan.fingerprint, continued_from if earlier is None else earlier.fingerprint)
    kept = _kept_masks(plan, run, valid=done or earlier is not None)
    _check_left_out(plan, run, kept)
    if done or pending.is_trained():
        log.info("the network is trained already")
        trained = load_network(run.paths.network if done else pending.paths.network)
        trained.network.to(device).to(memory_format=torch.channels_last)
        propagator = model_of(plan.model).propagator(
            trained.network, trained.recipe, plan.annotated, device, pending.passes(plan.annotated)
        )
    else:
        pending.clear()  # masks of another network
        if earlier is not None:
            log.info("continuing with the network of the last run")
            network = load_network(run.paths.network).network
        network = network or start_network(plan)
        trained, propagator = _train(plan, run, pending, earlier, network, kept, device, callbacks)
    try:
        _write_masks(plan, pending, kept, trained, propagator, callbacks)
    except Interrupted as stopped:
        count = _put_in_place(plan, run, pending, trained.record) if keep_stopped else 0
        if not count:
            raise
        raise Interrupted(
            f"stopped; {count} of {len(plan.origins)} frames have the masks of this run, the next run makes "
            "the others"
        ) from stopped
    record = _with_masks(trained.record, plan, pending)
    run.finish(pending, record, plan.names)
    return record


def _with_masks(record: RunRecord, plan: Plan, pending: PendingRun) -> RunRecord:
    """The record of a trained network with what is known of the masks made with it."""
    shots = plan.annotated.shots.whole()
    masks = {
        "spans": run_spans(_origins(plan, pending), plan.names),
        "cuts": tuple(plan.names[index] for index in shots.cuts),
        "flashes": tuple(plan.names[index] for index in sorted(shots.flashes)),
        "objects": plan.objects,
        "files_state": plan.annotated.files_state,
        "frames_digest": plan.annotated.frames_digest,
    }
    return record.model_copy(update=masks)


def _put_in_place(plan: Plan, run: RunFolder, pending: PendingRun, record: RunRecord) -> int:
    """Let the masks that a stopped run has made replace older ones, which stay elsewhere.

    The stopped run itself is not touched: the same call still continues from there.

    Returns:
        How many of the wanted masks are there; where there is none, nothing is replaced.
    """
    made = [i for i, origin in plan.origins.items() if pending.masks.has(plan.names[i], origin)]
    if not made:
        return 0
    older = {}
    if run.paths.record.exists():
        older = run.made_masks(read_record(run.paths.record), plan.annotated.clip)
    part = run.pending(f"{plan.fingerprint} stopped", None)
    part.clear()
    for index, name in enumerate(plan.names):
        keyframe, masks = plan.annotated.keyframes.get(index), pending.masks
        if keyframe is not None and keyframe.path is not None:
            part.masks.copy(name, keyframe.path, dict.fromkeys(plan.object_ids, 1.0))
        elif name in masks:
            part.masks.copy(name, pending.paths.mask(name), masks.confidence[name], masks.origins[name])
        elif index in older:
            part.masks.copy(name, older[index].path, older[index].confidence, older[index].origin)
    if pending.paths.network.exists():
        shutil.copyfile(pending.paths.network, part.paths.network)
    run.finish(part, _with_masks(record, plan, part), plan.names, keep_pending=True)
    return len(made)


def _kept_masks(plan: Plan, run: RunFolder, valid: bool) -> dict[int, MadeMask]:
    """Masks of the run that is there which stay: those not asked for and, if `valid`, unchanged ones."""
    if not run.paths.record.exists():
        return {}
    made = run.made_masks(read_record(run.paths.record), plan.annotated.clip)
    return {
        index: mask
        for index, mask in made.items()
        if index not in plan.annotated.keyframes
        and (index not in plan.origins or (valid and mask.origin == plan.origins[index]))
    }


def _check_left_out(plan: Plan, run: RunFolder, kept: Collection[int]) -> None:
    """Refuse to delete masks that are not asked for.

    Raises:
        InputError: nothing is known of such a mask but its file.
    """
    staying = plan.origins.keys() | plan.annotated.keyframes.keys() | set(kept)
    lost = [name for index, name in enumerate(plan.names) if index not in staying]
    lost = [name for name in lost if run.paths.mask(name).exists()]
    if lost:
        raise InputError(
            f"{run.paths.mask(lost[0])} is not asked for, but cannot be kept: {run.paths.record.name} or "
            f"{run.paths.confidence.name} beside it is missing, damaged, or does not know it; propagate "
            "every frame, or give another --out folder"
        )


def _origins(plan: Plan, pending: PendingRun) -> dict[int, MaskOrigin]:
    """The origins of all masks but those of keyframes, past and present."""
    found = {
        index: pending.masks.origins[name]
        for index, name in enumerate(plan.names)
        if name in pending.masks and index not in plan.annotated.keyframes
    }
    return {index: origin for index, origin in found.items() if origin is not None}


def propagate_frames(
    plan: Plan, device: torch.device, callbacks: Callbacks = NO_CALLBACKS
) -> Iterator[PropagatedFrame]:
    """Fine-tune a network and segment every frame, without a run's folder.

    The parent and the frames' size are checked at the call, the rest is done as results are asked for.

    Args:
        plan: what to do.
        device: where to compute.
        callbacks: notified of the progress, and asked whether to stop.

    Returns:
        The results in the order of the frames, each as soon as it is there.

    Raises:
        InputError: a frame cannot be read or is too small, or the training diverged.
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for.
    """
    plan.check_size()
    plan.annotated.frames_digest = ""  # there are no masks of other frames to tell these from
    return _propagated_frames(plan, start_network(plan), device, callbacks)


def _propagated_frames(
    plan: Plan, network: nn.Module, device: torch.device, callbacks: Callbacks
) -> Iterator[PropagatedFrame]:
    annotated, shares = plan.annotated, plan.min_component_share
    annotated.shots = StreamedShots(annotated.read, len(annotated), max(annotated.keyframes))
    with tempfile.TemporaryDirectory(prefix="dextr-vos-") as folder:
        session = FineTuning(plan, network, plan.first_recipe, device, Path(folder), plan.origins)
        session.train(None, callbacks)
        segmenter = ClipSegmenter(annotated, session.propagator, shares, callbacks, plan.spans)
        keyframes = {index for index in annotated.keyframes if plan.frames is None or index in plan.frames}
        yield from segmenter.frames(keyframes | plan.origins.keys())


class FineTuning:
    """A network being fine-tuned on a clip, with its propagator.

    Args:
        plan: what to do.
        network: as it is before training.
        recipe: of this training.
        device: where to compute.
        folder: for soft masks in progress.
        to_segment: indices of the frames that are segmented afterwards.
    """

    def __init__(
        self,
        plan: Plan,
        network: nn.Module,
        recipe: Recipe,
        device: torch.device,
        folder: Path,
        to_segment: Collection[int],
    ) -> None:
        if plan.alpha == 0:
            recipe = recipe.limited_to(0)
        self._plan, self._model = plan, model_of(plan.model)
        self.network, self.recipe = network, recipe
        self._device, self._folder, self._to_segment = device, folder, to_segment
        self.propagator = self._new_propagator(recipe)

    def train(self, checkpoint: TrainingCheckpoint | None, callbacks: Callbacks) -> TrainingState:
        """Fine-tune within the plan's budget, and interpolate with the weights before training."""
        plan, model, device, started = self._plan, self._model, self._device, time.monotonic()
        network = self.network.to(device).to(memory_format=model.memory_format(device))
        before = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
        callbacks.on_phase("encoding", 0, 0)
        samples = read_samples(plan.annotated, model.sample_side(self.recipe))
        batches = model.batch_source(self.recipe, samples, plan.object_ids, plan.seed)
        batches.prepare(network, device, callbacks.stop_asked, partial(callbacks.on_phase, "encoding"))
        time_limit_s = None
        if callbacks.on_estimate is not None or plan.budget_s is not None:
            callbacks.on_phase("measuring", 0, 0)
            estimate = self._estimate(batches)
            if plan.budget_s is not None:
                left_s, before_s = plan.budget_s - (time.monotonic() - started), time.monotonic()
                self.recipe, estimate, time_limit_s = within_budget(
                    self.recipe, estimate, left_s, self._frame_s_at
                )
                time_limit_s = max(0.0, time_limit_s - (time.monotonic() - before_s))  # measuring takes time
                self.propagator = self._new_propagator(self.recipe)
            if callbacks.on_estimate is not None:
                callbacks.on_estimate(estimate)
        callbacks.on_phase("training", 0, self.recipe.max_steps)
        state = finetune(
            network,
            model,
            self.recipe,
            batches,
            device,
            checkpoint=checkpoint,
            time_limit_s=time_limit_s,
            callbacks=callbacks,
        )
        interpolate_weights(network, before, plan.alpha)
        network.eval().to(memory_format=torch.channels_last)
        return state

    def trained(
        self, state: TrainingState, continued_from: str | None, callbacks: Callbacks
    ) -> TrainedNetwork:
        """The network as it is saved."""
        tail = state.losses[-self.recipe.window :]
        training = RunTraining(
            steps=state.step,
            stop=state.stop,
            loss=sum(tail) / max(1, len(tail)),
            seconds=state.seconds,
            alpha=self._plan.alpha,
            keyframe_iou=keyframe_iou(
                self._plan.annotated, self.propagator, partial(callbacks.on_phase, "checking")
            ),
        )
        record = self._plan.record(self.recipe, training, continued_from)
        return TrainedNetwork(self.network, record, self.propagator.memory())

    def _new_propagator(self, recipe: Recipe) -> Propagator:
        annotated = self._plan.annotated
        return self._model.propagator(self.network, recipe, annotated, self._device, self._folder)

    def _frame_s_at(self, longest_side: int) -> float:
        propagator = self._new_propagator(replace(self.recipe, longest_side=longest_side))
        return seconds_a_frame(self.network, propagator, self._plan.annotated)

    def _estimate(self, batches: BatchSource) -> Estimate:
        plan = self._plan
        frames = sum(map(self.propagator.steps, wanted_parts(plan.spans, self._to_segment)))
        step_s = seconds_a_step(self.network, self._model, self.recipe, batches, self._device)
        frame_s = seconds_a_frame(self.network, self.propagator, plan.annotated)
        return Estimate(self.recipe.max_steps, step_s, frames, frame_s)


def _train(
    plan: Plan,
    run: RunFolder,
    pending: PendingRun,
    earlier: RunRecord | None,
    network: nn.Module,
    kept: Collection[int],
    device: torch.device,
    callbacks: Callbacks,
) -> tuple[TrainedNetwork, Propagator]:
    """Fine-tune a network, that of the earlier run where there is one, and save it."""
    recipe = plan.first_recipe if earlier is None else plan.correction_recipe
    continued_from = None if earlier is None else earlier.fingerprint
    to_segment = plan.origins.keys() - kept
    session = FineTuning(plan, network, recipe, device, pending.passes(plan.annotated), to_segment)
    checkpoint = TrainingCheckpoint(run.paths.checkpoint, f"{plan.fingerprint} {continued_from}")
    trained = session.trained(session.train(checkpoint, callbacks), continued_from, callbacks)
    save_network(pending.paths.network, trained)
    run.paths.checkpoint.unlink(missing_ok=True)
    return trained, session.propagator


def _write_masks(
    plan: Plan,
    pending: PendingRun,
    kept: Mapping[int, MadeMask],
    trained: TrainedNetwork,
    propagator: Propagator,
    callbacks: Callbacks,
) -> None:
    """Make every mask that is not there: kept from the run before, copied from a keyframe, or segmented."""
    callbacks.on_phase("segmenting", 0, 0)
    annotated, masks, names = plan.annotated, pending.masks, plan.names
    for index, name in enumerate(names):
        mask = kept.get(index)
        if mask is not None and not (index in plan.origins and masks.has(name, mask.origin)):
            masks.copy(name, mask.path, mask.confidence, mask.origin)
        elif mask is None and index not in plan.origins and index not in annotated.keyframes:
            masks.remove(name)
    wanted = [index for index, origin in plan.origins.items() if not masks.has(names[index], origin)]
    wanted += [index for index in annotated.keyframes if names[index] not in masks]
    shares = trained.record.min_component_share
    for frame in ClipSegmenter(annotated, propagator, shares, callbacks, plan.spans).frames(wanted):
        name, source = names[frame.index], None
        if frame.is_keyframe:
            source = annotated.keyframes[frame.index].path
        if source is None:
            masks.write(name, frame.labels, frame.confidence, plan.origins.get(frame.index))
        else:
            masks.copy(name, source, frame.confidence)


def _can_continue(plan: Plan, earlier: RunRecord) -> bool:
    """Whether a correction is all that happened since an earlier run."""
    if plan.fresh:
        return False
    common = plan.annotated.digests.items() & earlier.keyframe_digests.items()
    same_objects = (
        model_of(plan.model).any_objects() or [entry.id for entry in earlier.objects] == plan.object_ids
    )
    return earlier.base_fingerprint == plan.base_fingerprint and bool(common) and same_objects
