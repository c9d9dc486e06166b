"""The models of propagation as far as they are known without their networks: recipes and parents.

Whether anything has to be computed at all is decided by this, without PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Motion
from dextr_vos.datasets.photometric import PhotometricAugmentation
from dextr_vos.errors import InputError, MissingCheckpointError
from dextr_vos.networks.checkpoint_file import is_lite_clicks, tensor_names
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.settings import KEYS, Recipe


@dataclass(frozen=True)
class ModelConfig:
    """A propagation model without its network, see `Model`.

    Attributes:
        name: `lite`, `paper` or `sam2`.
        recipe: how it is fine-tuned.
        bf16: compute in bf16 where that is faster.
        shipped: its parent inside the package, see `networks.shipped`; None where there is none.
        tracks: masks depend on those of neighboring frames, so that a cut matters.
        job_gb: gigabytes of memory that propagating a clip of 480p takes on the CPU, roughly.
        keys: those of `settings.KEYS` that change anything.
    """

    name: str
    recipe: Recipe
    bf16: bool = True
    shipped: str | None = None
    tracks: bool = True
    job_gb: float = 2.0
    keys: frozenset[str] = frozenset(KEYS)

    def knows_objects(self, parent: Path | None) -> bool:
        """Whether a parent can already segment, so that fine-tuned weights may be interpolated with it.

        A network for clicks cannot.
        """
        return parent is not None and not is_lite_clicks(tensor_names(parent))

    def parent(self, choice: str | Path | None) -> Path | None:
        """The checkpoint to start from.

        Args:
            choice: a path, None for the shipped one, "none" for random weights.

        Returns:
            Its file; None for random weights.

        Raises:
            InputError: a shipped one is asked for, and there is none.
        """
        if choice is not None:
            return None if choice == "none" else Path(choice)
        if self.shipped is None:
            raise MissingCheckpointError(
                f"the model {self.name} needs a parent, a published "
                + (".pth, or 'none' to start from random weights" if self.recipe.max_steps else "checkpoint"),
                "parent",
            )
        return shipped_weights(self.shipped)


def cuts_that_count(model: ModelConfig, across_cuts: bool, cuts: Sequence[int]) -> Sequence[int]:
    """The cuts at which spans of frames end, see `spans_between`.

    Args:
        model: by which the clip is propagated.
        across_cuts: see `TrackingSettings`.
        cuts: indices of the first frames of new shots.

    Returns:
        All of them; none where the model tracks nothing, or tracks across them.
    """
    return cuts if model.tracks and not across_cuts else ()


# the frames of one clip differ less from one another than images do
_LUCID = SceneRecipe(
    size_hw=(224, 336),
    size=(0.4, 0.85),
    own=0.6,
    merge=0.0,
    others=0.0,
    absent=0.03,
    sprite=CopyPaste(
        rotation_deg=8.0,
        shear=0.04,
        aspect=0.08,
        photometric=PhotometricAugmentation(0.12, 0.05, 0.0, 0.15, 0.1, 0.15),
    ),
    motion=Motion(photometric=PhotometricAugmentation(0.1, 0.05, 0.0, 0.2, 0.1, 0.15)),
)

LITE_CONFIG = ModelConfig(
    name="lite",
    recipe=Recipe(
        longest_side=640,
        batch=2,
        accumulate_grad=1,
        max_steps=160,
        steps_a_keyframe=40,
        correction_steps=40,
        window=20,
        tolerance=0.02,
        cooldown=20,
        average="size",
        alpha=0.7,
        alpha_clicked=0.7,
        scene=_LUCID,
        mask_corruption=MaskCorruption(),
        pool=12,
        correction_pool=12,
    ),
    shipped="lite-parent",
)

# the published online training: 2,000 steps of 5 passes on full frames, loss on the fused output alone
PAPER_CONFIG = ModelConfig(
    name="paper",
    recipe=Recipe(
        longest_side=None,
        batch=1,
        accumulate_grad=5,
        max_steps=2000,
        correction_steps=400,
        window=200,
        tolerance=0.01,
        cooldown=0,
        average="batch",
        small_components=0.0,
        augmentation=Augmentation(brightness=0.1),
    ),
    tracks=False,
    job_gb=6.0,
)

# nothing is fine-tuned
SAM2_CONFIG = ModelConfig(
    name="sam2",
    recipe=Recipe(
        longest_side=None,
        batch=1,
        accumulate_grad=1,
        max_steps=0,
        correction_steps=0,
        window=1,
        tolerance=0.0,
        cooldown=0,
        average="batch",
        alpha=0.0,
        alpha_clicked=0.0,
    ),
    job_gb=6.0,
    keys=frozenset({"small_components", "tracking.across_cuts"}),
)

_CONFIGS = {config.name: config for config in (LITE_CONFIG, PAPER_CONFIG, SAM2_CONFIG)}


def config_named(name: str) -> ModelConfig:
    """The configuration of the model called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in _CONFIGS:
        raise InputError(f"unknown model '{name}'; expected one of {', '.join(_CONFIGS)}")
    return _CONFIGS[name]
