"""The grid: each combination of clip, supervision, keyframes, network and seed is one cell, and one job."""

from collections.abc import Sequence
from itertools import product

from pydantic import BaseModel, ConfigDict

from dextr_vos.benchmark.settings import BenchmarkSettings, Choice, Network, Supervision


class Cell(BaseModel):
    """One combination.

    Attributes:
        clip: name of the clip.
        supervision: where the masks of the keyframes come from.
        keyframes: how many frames are annotated.
        choose: which ones.
        network: kind of propagation network.
        seed: of fine-tuning and of the clicks' jitter.
    """

    model_config = ConfigDict(frozen=True)
    clip: str
    supervision: Supervision
    keyframes: int
    choose: Choice
    network: Network
    seed: int

    def __str__(self) -> str:
        many = "keyframe" if self.keyframes == 1 else "keyframes"
        how = ", as suggested" if self.choose == "suggest" else ""
        return (
            f"{self.clip}, {self.supervision}, {self.keyframes} {many}{how}, {self.network}, seed {self.seed}"
        )


def grid(settings: BenchmarkSettings, clips: Sequence[str]) -> list[Cell]:
    """All cells, in the order in which they are best run: clip after clip, few keyframes first."""
    return [
        Cell(clip=clip, supervision=supervision, keyframes=count, choose=choose, network=network, seed=seed)
        for seed, network, clip, count, choose, supervision in product(
            settings.seeds,
            settings.networks,
            clips,
            sorted(settings.keyframes),
            settings.choose,
            settings.supervision,
        )
    ]
