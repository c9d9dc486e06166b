"""Propagation as a whole, on disk and in memory: masks of keyframes in, masks of every frame out.

PyTorch is imported once something has to be computed.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, get_args

import numpy as np
import numpy.typing as npt

from dextr_vos.annotation.annotations import Annotations, load_annotations
from dextr_vos.clip import Clip, ClipSource, open_clip
from dextr_vos.errors import ConfigError, InputError
from dextr_vos.masks import object_ids
from dextr_vos.propagation.keyframes import (
    AnnotatedClip,
    Direction,
    Keyframe,
    keyframes_from_labels,
    read_keyframes,
)
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.propagate import is_propagated, propagate_to_run
from dextr_vos.propagation.recipes import ModelConfig, config_named
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks, changed
from dextr_vos.run_files import RunRecord
from dextr_vos.workspace import Workspace

if TYPE_CHECKING:
    from dextr_vos.propagation.clip_segmenter import PropagatedFrame

_LAST_SEED = 2**32 - 1


def _is_integer(value: object, first: int, last: int | None = None) -> bool:
    """Whether a value is an integer of any type from `first` to `last`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        return False
    return first <= int(value) and (last is None or int(value) <= last)


def _is_positive(value: object) -> bool:
    """Whether a value is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return math.isfinite(value) and float(value) > 0


def _are_indices(values: object) -> bool:
    """Whether that is a sequence of at least one integer."""
    if not isinstance(values, Sequence | np.ndarray) or not len(values):
        return False
    return all(isinstance(one, Integral) and not isinstance(one, bool) for one in values)


@dataclass(frozen=True)
class PropagationOptions:
    """How a clip is propagated; the defaults are those of every command.

    Attributes:
        model: `lite`, `paper`, `sam2`, or one with a recipe of its own.
        parent: checkpoint to start from; None is the shipped one (`lite` alone has one), "none" random ones.
        device: where to compute: auto, cpu, cuda, cuda:1, mps.
        seed: of initial weights and random changes, from 0 to 2³² - 1.
        max_steps: step limit in place of the recipe's, at least 1.
        budget_s: seconds that fine-tuning and segmenting may take, above 0; None has no limit.
        fresh: start again, and not with the network that an earlier run left.
        clicked: the keyframes are masks from clicks, which are less exact than drawn ones, and a
            recipe may change the network less for them (`alpha_clicked`). None finds it out: a workspace
            knows it, other keyframes count as drawn.
        settings: `KEY=VALUE` each, see `propagation.settings.KEYS`.
        direction: "both", or "forward" or "backward" to propagate from each keyframe only to later or only to
            earlier frames, up to the next keyframe.
        frames: indices of the frames to make masks of, as `range(10, 21)`; negative ones count from the end;
            None for all. On disk, masks of other frames stay as an earlier run made them, and keyframes are
            copied wherever they are.

    Raises:
        InputError: a value of another type, or out of range.
    """

    model: str | ModelConfig = "lite"
    parent: str | Path | None = None
    device: str = "auto"
    seed: int = 0
    max_steps: int | None = None
    budget_s: float | None = None
    fresh: bool = False
    clicked: bool | None = None
    settings: Sequence[str] = ()
    direction: Direction = "both"
    frames: Sequence[int] | None = None

    def __post_init__(self) -> None:
        def expect(good: bool, name: str, what: str) -> None:
            if not good:
                raise InputError(f"expected {name} as {what}, got {getattr(self, name)!r}")

        expect(isinstance(self.model, str | ModelConfig), "model", "a name or a Model")
        expect(self.parent is None or isinstance(self.parent, str | Path), "parent", "a path, 'none' or None")
        expect(isinstance(self.device, str), "device", "auto, cpu, cuda, cuda:1 or mps")
        expect(_is_integer(self.seed, 0, _LAST_SEED), "seed", f"an integer from 0 to {_LAST_SEED}")
        expect(
            self.max_steps is None or _is_integer(self.max_steps, 1), "max_steps", "an integer from 1 or None"
        )
        expect(self.budget_s is None or _is_positive(self.budget_s), "budget_s", "seconds above 0 or None")
        expect(isinstance(self.fresh, bool), "fresh", "True or False")
        expect(self.clicked is None or isinstance(self.clicked, bool), "clicked", "True, False or None")
        strings = not isinstance(self.settings, str) and isinstance(self.settings, Sequence)
        expect(
            strings and all(isinstance(one, str) for one in self.settings),
            "settings",
            "a sequence of KEY=VALUE",
        )
        expect(self.direction in get_args(Direction), "direction", "both, forward or backward")
        expect(
            self.frames is None or _are_indices(self.frames), "frames", "a sequence of frame indices or None"
        )

    def chosen_model(self) -> ModelConfig:
        """The model with its recipe changed.

        Raises:
            InputError: there is no such model.
            ConfigError: an unknown setting, a value of the wrong kind, or what does nothing with this model.
        """
        model = config_named(self.model) if isinstance(self.model, str) else self.model
        if "max_steps" not in model.keys and (self.max_steps is not None or self.budget_s is not None):
            raise ConfigError(
                f"the model {model.name} is not fine-tuned, so that a limit of its steps or of the time does "
                "nothing; leave it out"
            )
        recipe = changed(model.recipe, self.settings)
        given = [setting.partition("=")[0] for setting in self.settings]
        useless = [key for key in given if key not in model.keys]
        if useless:
            raise ConfigError(
                f"the setting '{useless[0]}' does nothing with the model {model.name}; expected one of "
                + ", ".join(sorted(model.keys))
            )
        if self.max_steps is not None:
            a_keyframe = recipe.steps_a_keyframe if "steps_a_keyframe" in given else None
            recipe = replace(recipe.limited_to(self.max_steps), steps_a_keyframe=a_keyframe)
        return replace(model, recipe=recipe)


class PropagateOptions(TypedDict, total=False):
    """The options of `propagate`, which are those of `PropagationOptions` without `fresh`."""

    model: str | ModelConfig
    parent: str | Path | None
    device: str
    seed: int
    max_steps: int | None
    budget_s: float | None
    clicked: bool | None
    settings: Sequence[str]
    direction: Direction
    frames: Sequence[int] | None


DEFAULT_OPTIONS = PropagationOptions()


def train_propagation(
    clip: Clip,
    keyframes: Path,
    out: Path,
    options: PropagationOptions = DEFAULT_OPTIONS,
    callbacks: Callbacks = NO_CALLBACKS,
    keep_stopped: bool = False,
) -> RunRecord:
    """Propagate on disk: fine-tune a network on all keyframes, then segment every frame.

    What is done already and still valid is not done again: a finished training, an unfinished one, masks.

    Args:
        clip: the clip.
        keyframes: a workspace or a folder of masks.
        out: the run's folder.
        options: how to propagate.
        callbacks: notified of the progress, and asked whether to stop.
        keep_stopped: see `propagate_to_run`.

    Returns:
        The record of the run.

    Raises:
        ConfigError: an unknown setting.
        InputError: keyframes do not fit, workspace or run are on another clip.
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for; the same call continues from there.
    """
    plan = _plan_on_disk(clip, keyframes, out, options)
    if options.device not in ("auto", "cpu"):  # there is one in any case
        from dextr_vos.runtime import pick_device

        pick_device(options.device)
    return propagate_to_run(plan, out, options.device, callbacks, keep_stopped)


def is_up_to_date(
    clip: Clip, keyframes: Path, out: Path, options: PropagationOptions = DEFAULT_OPTIONS
) -> bool:
    """Whether `train_propagation` would find everything done; nothing is written, and PyTorch not imported.

    Args:
        clip: the clip.
        keyframes: a workspace or a folder of masks.
        out: the run's folder.
        options: how to propagate.

    Raises:
        ConfigError: an unknown setting.
        InputError: keyframes do not fit, workspace or run are on another clip.
    """
    return is_propagated(_plan_on_disk(clip, keyframes, out, options), out)


def _plan_on_disk(clip: Clip, keyframes: Path, out: Path, options: PropagationOptions) -> Plan:
    """The plan of `train_propagation`."""
    workspace = Workspace(keyframes)
    document = None
    if workspace.keyframes.is_dir():
        workspace.check_clip(clip)
        if out == workspace.run.path:
            workspace.check_links()
        document = load_annotations(workspace.annotations) if workspace.annotations.exists() else None
    masks = read_keyframes(keyframes, clip)
    names = {} if document is None else {entry.id: entry.name for entry in document.objects}
    clicked = document is not None and _all_clicked(document, masks)
    return _plan(AnnotatedClip(clip, masks), options, names, clicked)


def propagate(
    clip: ClipSource,
    keyframes: Mapping[int, npt.ArrayLike],
    *,
    on_progress: Callable[[str, int, int], None] | None = None,
    stop_asked: Callable[[], bool] | None = None,
    **options: Unpack[PropagateOptions],
) -> "Iterator[PropagatedFrame]":
    """Propagate in memory: masks of a few frames in, masks of every frame out, as they are computed.

    A network is fine-tuned on the keyframes (in the manner of OSVOS, Caelles et al., CVPR 2017), then every
    frame is segmented. On one thread the masks are those of `dextr-vos propagate`, to the bit; for keyframes
    whose masks all come from clicks, pass `clicked=True`, which the command finds out by itself.

    Args:
        clip: a clip, or whatever `open_clip` takes.
        keyframes: labels by frame index (negative ones count from the end), each H×W integers (0 background,
            object ids, 255 void) or bool; at least one, any number of objects.
        on_progress: called with "fine-tuning" or "segmenting", the steps or frames done, and how many there
            are in all.
        stop_asked: asked between steps and frames; ends the work with `Interrupted` when it returns True.
        options: model, parent, device, seed, max_steps, budget_s, clicked, settings, direction and frames;
            `PropagationOptions` describes them.

    Yields:
        A `PropagatedFrame` for every frame, in order: index, labels, probabilities, confidence. With `frames`
        only for these, and with `direction="forward"` none before the first keyframe, likewise backward.

    Raises:
        InputError: keyframes that do not fit the clip, or an unknown option, model or device.
        ConfigError: an unknown setting.
        WeightsError: the parent does not fit.

    Examples:
        >>> import numpy as np, dextr_vos as dv
        >>> frames = np.zeros((3, 48, 64, 3), np.uint8)
        >>> frames[:, 10:30, 10:40] = 200
        >>> labels = (frames[0, :, :, 0] > 0).astype(np.uint8)
        >>> [frame.index for frame in dv.propagate(dv.open_clip(frames), {0: labels}, max_steps=1)]
        [0, 1, 2]
    """
    known = PropagateOptions.__annotations__.keys()
    unknown = sorted(options.keys() - known)
    if unknown:
        raise InputError(f"unknown option '{unknown[0]}' of propagate; expected {', '.join(sorted(known))}")
    from dextr_vos.propagation.session import propagate_frames
    from dextr_vos.runtime import pick_device

    opened, chosen = open_clip(clip), PropagationOptions(**options)
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


def _plan(
    annotated: AnnotatedClip, options: PropagationOptions, names: Mapping[int, str], clicked: bool
) -> Plan:
    model, count = options.chosen_model(), len(annotated)
    frames = None if options.frames is None else frozenset(int(index) for index in options.frames)
    beyond = sorted(index for index in frames or () if not -count <= index < count)
    if beyond:
        raise InputError(
            f"expected frames from 0 to {count - 1}, or from -{count} to -1, got {beyond[0]} among them"
        )
    return Plan(
        annotated=annotated,
        model=model,
        parent=model.parent(options.parent),
        seed=options.seed,
        object_names=names,
        fresh=options.fresh,
        budget_s=options.budget_s,
        clicked=clicked if options.clicked is None else options.clicked,
        direction=options.direction,
        frames=None if frames is None else frozenset(index % count for index in frames),
    )


def _all_clicked(document: Annotations, keyframes: Sequence[Keyframe]) -> bool:
    """Whether every mask comes from clicks alone."""
    return all(
        document.is_clicked(keyframe.name, object_id)
        for keyframe in keyframes
        for object_id in object_ids(keyframe.labels)
    )
