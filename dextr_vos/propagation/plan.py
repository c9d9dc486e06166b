"""Everything that determines a run, and the digest by which a finished one is recognized; no PyTorch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.files import file_digest
from dextr_vos.masks import default_name, object_ids
from dextr_vos.propagation.keyframes import SHORTEST_SIDE, AnnotatedClip, Direction, Span, spans_between
from dextr_vos.propagation.origins import MaskOrigin, made_from_key, origins_in
from dextr_vos.propagation.postprocess import supported_share
from dextr_vos.propagation.recipes import ModelConfig, cuts_that_count
from dextr_vos.propagation.settings import Recipe
from dextr_vos.run_files import RunClip, RunObject, RunRecord, RunTraining


@dataclass(frozen=True)
class Plan:
    """Everything that determines a run.

    Attributes:
        annotated: the clip and its keyframes.
        model: propagation model; its network is not needed to tell whether a run is finished.
        parent: checkpoint it starts from; None starts from random weights.
        seed: of initial weights and random changes.
        object_names: by object id; the others are called by their id.
        fresh: start again, and not with the network of an earlier run.
        budget_s: seconds that fine-tuning and segmenting may take; None has no limit.
        clicked: every keyframe mask comes from clicks alone.
        direction: from which keyframes masks are propagated, see `spans_between`.
        frames: indices of the frames whose masks are wanted; None for all.
    """

    annotated: AnnotatedClip
    model: ModelConfig
    parent: Path | None
    seed: int = 0
    object_names: Mapping[int, str] = field(default_factory=dict)
    fresh: bool = False
    budget_s: float | None = None
    clicked: bool = False
    direction: Direction = "both"
    frames: frozenset[int] | None = None

    @property
    def recipe(self) -> Recipe:
        """How the network is fine-tuned."""
        return self.model.recipe

    @cached_property
    def first_recipe(self) -> Recipe:
        """How it is fine-tuned where no earlier training is continued."""
        masks = [keyframe.labels for keyframe in self.annotated.keyframes.values()]
        recipe = self.recipe.for_keyframes(
            1 if self.clicked else sum(bool(object_ids(mask)) for mask in masks)
        )
        # an encoder with random weights must learn, too
        return replace(recipe, pool=0) if self.parent is None else recipe

    @property
    def correction_recipe(self) -> Recipe:
        """How training continues after a correction."""
        return replace(self.recipe.for_correction(), alpha=self.first_recipe.alpha)

    @property
    def alpha(self) -> float:
        """The weight interpolation of this run, see `Recipe.alpha`."""
        if not self.model.knows_objects(self.parent):
            return 1.0
        recipe = self.first_recipe
        return recipe.alpha_clicked if self.clicked else recipe.alpha

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the clip's frames."""
        return self.annotated.clip.names

    @property
    def object_ids(self) -> list[int]:
        """Object ids, one a channel."""
        return self.annotated.object_ids

    def check_size(self) -> None:
        """Refuse frames that are too small.

        Raises:
            InputError: they are.
        """
        clip = self.annotated.clip
        if min(clip.size_hw) < SHORTEST_SIDE:
            raise InputError(
                f"the frames of {clip.path} are {clip.size_hw[1]}×{clip.size_hw[0]} pixels, "
                f"expected at least {SHORTEST_SIDE} a side"
            )

    def is_trained_by(self, finished: RunRecord) -> bool:
        """Whether the network of a finished run is the one that is asked for."""
        if self.fresh and finished.continued_from is not None:
            return False
        return finished.fingerprint == self.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all that determines the network; a run continues, or is done, when it is the same."""
        images = hashlib.sha256()
        for index in self.annotated.keyframes:
            images.update(self.annotated.read(index).tobytes())
        parts = {
            "keyframes": self.annotated.mask_digest,
            "frames": images.hexdigest(),
            "base": self.base_fingerprint,
            "alpha": self.alpha,
            "steps": self.first_recipe.max_steps,
        }
        return _digest(parts)

    @cached_property
    def base_fingerprint(self) -> str:
        """A digest of all of that except the keyframes."""
        parts: dict[str, Any] = {
            "model": self.model.name,
            "recipe": self.recipe.as_dict(),
            "parent": None if self.parent is None else file_digest(self.parent),
            "seed": self.seed,
            "clip": self.annotated.clip.identity,
            "budget": self.budget_s,
        }
        return _digest(parts)

    @cached_property
    def spans(self) -> list[Span]:
        """The spans of the clip, see `spans_between`."""
        cuts = cuts_that_count(self.model, self.recipe.tracking.across_cuts, self.annotated.shots.cuts)
        return spans_between(self.annotated.keyframes, len(self.annotated), self.direction, cuts)

    @cached_property
    def origins(self) -> dict[int, MaskOrigin]:
        """What the masks that are wanted are made from, by frame index; keyframes are not among them."""
        # the network depends on the frames of keyframes only, a mask on all between them
        made_from = made_from_key(self.base_fingerprint, self.annotated.frames_digest)
        origins = origins_in(self.spans, self.names, self.annotated.digests, made_from)
        return {index: each for index, each in origins.items() if self.frames is None or index in self.frames}

    @cached_property
    def min_component_share(self) -> dict[int, float]:
        """See `RunRecord`."""
        masks = [keyframe.labels for keyframe in self.annotated.keyframes.values()]
        share = self.recipe.small_components
        return {
            each: supported_share([np.equal(mask, each) for mask in masks], share) for each in self.object_ids
        }

    @property
    def objects(self) -> tuple[RunObject, ...]:
        """The objects with their names, which may change while everything else of a run stays."""
        names = self.object_names
        return tuple(RunObject(id=each, name=names.get(each, default_name(each))) for each in self.object_ids)

    def record(self, recipe: Recipe, training: RunTraining, continued_from: str | None) -> RunRecord:
        """The record of the run, once training by `recipe` has ended."""
        return RunRecord(
            model=self.model.name,
            clip=RunClip.of(self.annotated.clip),
            objects=self.objects,
            keyframes=tuple(keyframe.name for keyframe in self.annotated.keyframes.values()),
            longest_side=recipe.longest_side,
            settings=recipe.as_dict(),
            parent=None if self.parent is None else str(self.parent.resolve()),
            seed=self.seed,
            training=training,
            fingerprint=self.fingerprint,
            base_fingerprint=self.base_fingerprint,
            keyframe_digests=self.annotated.digests,
            continued_from=continued_from,
            min_component_share=self.min_component_share,
        )


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
