"""The chain of the stages: clicks -> masks of keyframes -> masks of every frame -> scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dextr_vos.annotation.annotations import Annotations, load_annotations
from dextr_vos.clip import Clip, ClipSource, open_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import Labels, object_ids
from dextr_vos.propagation.clip_segmenter import PropagatedFrame
from dextr_vos.propagation.keyframes import AnnotatedClip, Keyframe, keyframes_from_labels, read_keyframes
from dextr_vos.propagation.model import Model
from dextr_vos.propagation.models import model_named
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.propagate import propagate_frames, propagate_to_run
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks, changed
from dextr_vos.run_files import RunRecord
from dextr_vos.runtime import pick_device
from dextr_vos.workspace import Workspace

_LAST_SEED = 2**32 - 1


@dataclass(frozen=True)
class PropagationOptions:
    """How a clip is propagated; the defaults are those of every command.

    Attributes:
        model: `lite`, `paper`, or a `Model` with a recipe of its own.
        parent: checkpoint to start from; None is the shipped one, "none" random weights.
        device: where to compute: auto, cpu, cuda, cuda:1, mps.
        seed: of initial weights and random changes, from 0 to 2³² - 1.
        max_steps: step limit in place of the recipe's.
        budget_s: seconds that fine-tuning and segmenting may take; None has no limit.
        fresh: start again, and not with the network that an earlier run left.
        settings: `KEY=VALUE` each, see `propagation.settings.KEYS`.
    """

    model: str | Model = "lite"
    parent: str | Path | None = None
    device: str = "auto"
    seed: int = 0
    max_steps: int | None = None
    budget_s: float | None = None
    fresh: bool = False
    settings: Sequence[str] = ()

    def chosen_model(self) -> Model:
        """The model with its recipe changed.

        Raises:
            InputError: there is no such model, or the seed is out of range.
            ConfigError: an unknown setting, or a value of the wrong kind.
        """
        if not 0 <= self.seed <= _LAST_SEED:
            raise InputError(f"expected a seed from 0 to {_LAST_SEED}, got {self.seed}")
        model = model_named(self.model) if isinstance(self.model, str) else self.model
        recipe = changed(model.recipe, self.settings)
        return replace(model, recipe=recipe if self.max_steps is None else recipe.limited_to(self.max_steps))


DEFAULT_OPTIONS = PropagationOptions()


def train_propagation(
    clip: Clip,
    keyframes: Path,
    out: Path,
    options: PropagationOptions = DEFAULT_OPTIONS,
    callbacks: Callbacks = NO_CALLBACKS,
) -> RunRecord:
    """Stage 2 on disk: fine-tune a network on all keyframes, then segment every frame.

    What is done already and still valid is not done again: a finished training, an unfinished one, masks.

    Args:
        clip: the clip.
        keyframes: a workspace or a folder of masks.
        out: the run's folder.
        options: how to propagate.
        callbacks: notified of the progress, and asked whether to stop.

    Returns:
        The record of the run.

    Raises:
        ConfigError: an unknown setting.
        InputError: keyframes do not fit, workspace or run are on another clip.
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for; the same call continues from there.
    """
    workspace = Workspace(keyframes)
    document = None
    if workspace.keyframes.is_dir():
        workspace.check_clip(clip)
        document = load_annotations(workspace.annotations) if workspace.annotations.exists() else None
    masks = read_keyframes(keyframes, clip)
    names = {} if document is None else {entry.id: entry.name for entry in document.objects}
    clicked = document is not None and _all_clicked(document, masks)
    plan = _plan(AnnotatedClip(clip, masks), options, names, clicked)
    return propagate_to_run(plan, out, pick_device(options.device), callbacks)


def propagate(
    clip: ClipSource,
    keyframes: Mapping[int, Labels],
    *,
    on_progress: Callable[[str, int, int], None] | None = None,
    stop_asked: Callable[[], bool] | None = None,
    **options: object,
) -> Iterator[PropagatedFrame]:
    """Stage 2 in memory: masks of a few frames in, masks of every frame out, as they are computed.

    A network is fine-tuned on the keyframes (in the manner of OSVOS, Caelles et al., CVPR 2017), then every
    frame is segmented. On one thread the masks are those of `dextr-vos propagate`, to the bit.

    Args:
        clip: a clip, or whatever `open_clip` takes.
        keyframes: labels by frame index (negative ones count from the end), each H×W uint8 (0 background,
            object ids, 255 void) or bool; at least one, any number of objects.
        on_progress: called with "fine-tuning" or "segmenting", the steps or frames done, and how many there
            are in all.
        stop_asked: asked between steps and frames; ends the work with `Interrupted` when it returns True.
        options: model, parent, device, seed, max_steps, budget_s and settings; `PropagationOptions` describes
            them.

    Yields:
        A `PropagatedFrame` for every frame, in order: index, labels, probabilities, confidence.

    Raises:
        InputError: keyframes that do not fit the clip, or an unknown model or device.
        ConfigError: an unknown option or setting.
        WeightsError: the parent does not fit.

    Examples:
        >>> import numpy as np, dextr_vos as dv
        >>> frames = np.zeros((3, 48, 64, 3), np.uint8)
        >>> frames[:, 10:30, 10:40] = 200
        >>> labels = (frames[0, :, :, 0] > 0).astype(np.uint8)
        >>> [frame.index for frame in dv.propagate(dv.open_clip(frames), {0: labels}, max_steps=1)]
        [0, 1, 2]
    """
    opened, chosen = open_clip(clip), _options(options)
    annotated = AnnotatedClip(opened, keyframes_from_labels(keyframes, opened))
    plan, device = _plan(annotated, chosen, {}, clicked=False), pick_device(chosen.device)
    callbacks = Callbacks()
    if on_progress is not None:
        report = on_progress
        callbacks = replace(
            callbacks,
            on_step=lambda done, total, loss: report("fine-tuning", done, total),
            on_frame=lambda done, total: report("segmenting", done, total),
        )
    if stop_asked is not None:
        callbacks = replace(callbacks, stop_asked=stop_asked)
    return propagate_frames(plan, device, callbacks)


def _options(given: Mapping[str, object]) -> PropagationOptions:
    known = PropagationOptions.__dataclass_fields__.keys() - {"fresh"}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise InputError(f"unknown option '{unknown[0]}' of propagate; expected {', '.join(sorted(known))}")
    return PropagationOptions(**given)  # type: ignore[arg-type]


def _plan(
    annotated: AnnotatedClip, options: PropagationOptions, names: Mapping[int, str], clicked: bool
) -> Plan:
    model = options.chosen_model()
    return Plan(
        annotated=annotated,
        model=model,
        parent=model.parent(options.parent),
        seed=options.seed,
        object_names=names,
        fresh=options.fresh,
        budget_s=options.budget_s,
        clicked=clicked,
    )


def _all_clicked(document: Annotations, keyframes: Sequence[Keyframe]) -> bool:
    """Whether every mask comes from clicks alone."""
    return all(
        document.is_clicked(keyframe.name, object_id)
        for keyframe in keyframes
        for object_id in object_ids(keyframe.labels)
    )
