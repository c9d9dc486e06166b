"""The objects a DEXTR learns from and is validated on: opened, held out, halved, or the hard ones alone."""

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch

from dextr_vos.annotation.segmenter import Segmenter, make_segmenter
from dextr_vos.datasets.instances import Concat, ObjectSet, Subset
from dextr_vos.datasets.registry import fold_of, is_held_out, open_objects
from dextr_vos.errors import ConfigError, InputError, Interrupted
from dextr_vos.geometry import IntArray
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.checkpoints import read_metadata
from dextr_vos.training.dextr_settings import DextrSettings, HardSettings
from dextr_vos.training.hard_examples import OnObject, find_hard_examples, read_hard_examples

log = logging.getLogger(__name__)

HARD_EXAMPLES = "hard_examples.json"
HARD_VALIDATION = "hard_validation.json"
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class DextrData:
    """Objects, and further clicks on them.

    Attributes:
        sets: to train on, one a data set.
        validation: to validate on.
        sets_xy: further clicks, N×2, by the index of an object in the sets joined.
        validation_xy: the same of the validation's objects.
    """

    sets: Sequence[ObjectSet]
    validation: ObjectSet
    sets_xy: Mapping[int, IntArray] = field(default_factory=dict)
    validation_xy: Mapping[int, IntArray] = field(default_factory=dict)


def is_main_process() -> bool:
    """Whether this is the one of several processes that tells and writes; known before they have met."""
    return os.environ.get("RANK", "0") == "0"


def open_data(settings: DextrSettings, beside: Path) -> DextrData:
    """Open the data sets and tell their sizes.

    Args:
        settings: of the training.
        beside: folder that descriptions of data sets are relative to.

    Raises:
        InputError: a data set is missing or broken.
    """
    share, half = settings.hold_out, settings.half
    opened = [open_objects(data, settings.data_root, beside) for data in settings.data]
    kept = [Subset(part, lambda ref, _: is_held_out(ref.image, share)) for part in opened]
    sets = [
        Subset(
            part,
            lambda ref, _: not is_held_out(ref.image, share) and half in (None, fold_of(ref.image)),
        )
        for part in opened
    ]
    named = [open_objects(data, settings.data_root, beside) for data in settings.validation]
    validation = Concat(named or kept)
    chosen = _spread(len(validation.refs), settings.validation_objects)
    if is_main_process():
        of_half = "" if half is None else f" of half {half}"
        for data, part, apart in zip(settings.data, sets, kept, strict=True):
            rest = f", {len(apart.refs)} held out" if share else ""
            log.info("%s: %d objects%s to train on%s", data.describe(), len(part.refs), of_half, rest)
        source = " and ".join(data.describe() for data in settings.validation) or "what is held out"
        log.info("validation on %d of %d objects: %s", len(chosen), len(validation.refs), source)
    return DextrData(sets, Subset(validation, lambda _, index: index in chosen))


def check_networks(hard: HardSettings) -> None:
    """Make sure that hard examples can be looked for, before anything is written.

    Raises:
        ConfigError: a network learned from the wrong half.
        WeightsError: a network's checkpoint is missing or broken.
    """
    for half, path in enumerate((hard.first, hard.second)):
        told = read_metadata(path).get("half") if path.suffix == ".safetensors" else None
        if told not in (None, str(half)):
            raise ConfigError(
                f"expected hard.{('first', 'second')[half]} to have been trained on half {half}, got {path} "
                f"of half {told}"
            )
        make_segmenter(weights=path, device="cpu")


def with_hard_examples(
    data: DextrData,
    settings: DextrSettings,
    hard: HardSettings,
    device: torch.device | None = None,
    on_object: OnObject | None = None,
    stop_asked: StopAsked = never,
) -> DextrData:
    """The hard examples of the data alone, each with its fifth click; see `find_hard_examples`.

    What was found is kept in the folder of the training. Of several processes the main one looks for them,
    the others wait for its files.

    Raises:
        InputError: there is no hard example.
        WeightsError: a network's checkpoint is missing or broken.
        Interrupted: a stop was asked for.
    """
    joined = Concat(data.sets)
    for_training, for_validation = (settings.out / name for name in (HARD_EXAMPLES, HARD_VALIDATION))
    if is_main_process():
        unseeing = _networks(hard, device)
        sets_xy = find_hard_examples(
            joined,
            lambda ref: unseeing(fold_of(ref.image)),
            hard.below,
            for_training,
            on_object,
            stop_asked,
        )
        validation_xy = find_hard_examples(
            data.validation, lambda _: unseeing(1), hard.below, for_validation, on_object, stop_asked
        )
    else:
        sets_xy = _awaited(joined, hard.below, for_training, stop_asked)
        validation_xy = _awaited(data.validation, hard.below, for_validation, stop_asked)
    if not sets_xy:
        raise InputError(
            f"none of {len(joined.refs)} objects has an IoU below hard.below={hard.below:g}, so there is no "
            "hard example to train on; raise hard.below"
        )
    starts = accumulate((len(part.refs) for part in data.sets[:-1]), initial=0)
    sets = [
        _only(part, [index - start for index in sets_xy])
        for part, start in zip(data.sets, starts, strict=True)
    ]
    return DextrData(sets, _only(data.validation, validation_xy), _counted(sets_xy), _counted(validation_xy))


def _networks(hard: HardSettings, device: torch.device | None) -> Callable[[int], Segmenter]:
    """For each half the network that has not learned from it, read when it is first asked for."""

    @cache
    def unseeing(half: int) -> Segmenter:
        path = hard.first if half == 1 else hard.second
        return make_segmenter(weights=path, device="auto" if device is None else str(device))

    return unseeing


def _awaited(objects: ObjectSet, below: float, path: Path, stop_asked: StopAsked) -> dict[int, IntArray]:
    """What the main process finds."""
    while (found := read_hard_examples(objects, below, path)) is None:
        if stop_asked():
            raise Interrupted("stopped while the main process looked for hard examples")
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return found


def _only(objects: ObjectSet, indices: Collection[int]) -> Subset:
    chosen = set(indices)
    return Subset(objects, lambda _, index: index in chosen)


def _counted(clicks_xy: Mapping[int, IntArray]) -> dict[int, IntArray]:
    """The same clicks by the indices that the objects have without all others."""
    return {number: clicks_xy[index] for number, index in enumerate(sorted(clicks_xy))}


def _spread(count: int, most: int) -> set[int]:
    """At most so many indices, evenly over all."""
    return set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist())
