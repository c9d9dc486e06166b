"""Everything that determines a run, and the digest by which a finished one is known again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.networks.checkpoints import read_metadata
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.finetune import TrainingState
from dextr_vos.propagation.keyframes import Keyframe, digests, fingerprint, object_numbers
from dextr_vos.propagation.models import COMPANION, Model, accompanied
from dextr_vos.propagation.postprocess import supported_share
from dextr_vos.propagation.settings import Recipe
from dextr_vos.run_files import (
    RunClip,
    RunObject,
    RunRecord,
    RunTraining,
)


@dataclass(frozen=True)
class Plan:
    """Everything that determines a run.

    Attributes:
        clip: its frames.
        keyframes: what it is taught with, at least one.
        names: names of objects by their numbers; the others are called by their number.
        model: kind of network.
        recipe: how it is trained.
        parent: checkpoint it starts from.
        seed: of initial weights and random changes.
        fresh: begin anew, and not with the network that an earlier run left.
        budget_s: seconds that fine-tuning and segmenting may take; None lets them end by themselves.
        clicked: every mask of the keyframes is made of clicks alone.
    """

    clip: Clip
    keyframes: Sequence[Keyframe]
    names: Mapping[int, str]
    model: Model
    recipe: Recipe
    parent: Path | None
    seed: int
    fresh: bool = False
    budget_s: float | None = None
    clicked: bool = False

    @property
    def encoder_learns(self) -> bool:
        """Whether the encoder is taught by these keyframes; one without a parent has to be."""
        teachers = self.recipe.encoder_learns_from
        return self.parent is None or teachers == "all" or (teachers == "drawn" and not self.clicked)

    @property
    def kept(self) -> float:
        """The share of what is learned that is kept, see `Recipe.kept`."""
        if self.parent is None or not _can_follow(self.parent):
            return 1.0
        return self.recipe.kept_of_clicks if self.clicked else self.recipe.kept

    @property
    def accompanied(self) -> bool:
        """See `models.accompanied`."""
        return accompanied(self.model, self.recipe.following)

    @property
    def numbers(self) -> list[int]:
        """Object numbers, one a score channel."""
        return object_numbers(self.keyframes)

    def fingerprint(self) -> str:
        """A digest of all that determines the network; a run goes on, or is done, when it is the same."""
        parts = {
            "keyframes": fingerprint(self.keyframes),
            "frames": _pixel_digest(self.clip, self.keyframes),
            "basis": self.basis(),
            "encoder learns": self.encoder_learns,
            "kept": self.kept,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def basis(self) -> str:
        """A digest of all of that but the keyframes."""
        parts: dict[str, Any] = {
            "network": self.model.name,
            "recipe": self.recipe.as_dict(),
            "parent": None if self.parent is None else _file_digest(self.parent),
            "seed": self.seed,
            "clip": self.clip.identity,
            "budget": self.budget_s,
        }
        if self.accompanied:
            parts["companion"] = _file_digest(shipped_weights(COMPANION))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def record(
        self,
        recipe: Recipe,
        state: TrainingState,
        keyframe_iou: dict[int, float],
        continued_from: str | None,
    ) -> RunRecord:
        """The record of the run, once training by `recipe` has ended in `state`."""
        tail = state.losses[-recipe.window :]
        return RunRecord(
            model=self.model.name,
            clip=RunClip.of(self.clip),
            objects=tuple(
                RunObject(id=number, name=self.names.get(number, f"object {number}"))
                for number in self.numbers
            ),
            keyframes=tuple(keyframe.name for keyframe in self.keyframes),
            longest_side=recipe.longest_side,
            settings=recipe.as_dict(),
            parent=None if self.parent is None else str(self.parent.resolve()),
            seed=self.seed,
            training=RunTraining(
                steps=state.step,
                stop=state.stop,
                loss=sum(tail) / max(1, len(tail)),
                seconds=state.seconds,
                alpha=self.kept,
                keyframe_iou=keyframe_iou,
            ),
            fingerprint=self.fingerprint(),
            base_fingerprint=self.basis(),
            keyframe_digests=digests(self.keyframes, self.clip),
            continued_from=continued_from,
            min_component_share={
                number: supported_share(
                    [keyframe.labels == number for keyframe in self.keyframes], recipe.following.islands
                )
                for number in self.numbers
            },
        )


def _pixel_digest(clip: Clip, keyframes: Sequence[Keyframe]) -> str:
    digest = hashlib.sha256()
    for keyframe in keyframes:
        digest.update(clip.read(keyframe.index).tobytes())
    return digest.hexdigest()


def _can_follow(parent: Path) -> bool:
    """Whether a parent has all its layers; a lite DEXTR lends some of them, and the others must learn."""
    return not (parent.suffix == ".safetensors" and read_metadata(parent).get("network") == "lite-dextr")


def _file_digest(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
