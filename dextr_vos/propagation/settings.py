"""How objects are followed; docs/benchmarks.md tells what most of these values bring."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from dextr_vos.config import Settings, load_settings
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.errors import ConfigError
from dextr_vos.networks.losses import Average
from dextr_vos.propagation.object_crop import CropSettings


@dataclass(frozen=True)
class TrackingSettings:
    """How objects are followed.

    Attributes:
        longest_side: at which masks are carried from frame to frame; larger frames are made smaller.
        memories: keyframes that are remembered in a span, the nearest ones.
        recent: frames of the pass itself that are remembered, the last ones; 0 for none.
        every: one frame in so many is remembered.
        both_ways: a pass from each of the two keyframes beside a span, not from the one before alone.
        trust: how much more of a frame comes from the surer of two passes: each has the weight of its
            distance in time, times the overlap that its masks expect of themselves to this power; 0 is time
            alone.
        zoom: how the network's windows are cut out.
        islands: a part of a mask smaller than this share of the object's largest part is dropped, unless the
            keyframes show such parts; 0 drops none. This one holds for every network.
        own_share: for a network that sees frames alone: the shipped lite network follows the objects, and
            this share of each soft mask is the network's own; None leaves it alone. A lite network has no use
            for it.
    """

    longest_side: Annotated[int, Field(ge=32)] = 854
    memories: Annotated[int, Field(ge=1)] = 4
    recent: Annotated[int, Field(ge=0)] = 3
    every: Annotated[int, Field(ge=1)] = 2
    both_ways: bool = True
    trust: Annotated[float, Field(ge=0)] = 8.0
    zoom: CropSettings = field(default_factory=CropSettings)
    islands: Annotated[float, Field(ge=0, le=1)] = 0.2
    own_share: Annotated[float, Field(ge=0, le=1)] | None = None


AtLeastOne = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Recipe:
    """How a network is fine-tuned on one clip.

    Attributes:
        longest_side: frames are made smaller to this before they enter the network; None leaves them. A
            network that follows sees a window with as many pixels as a wide frame of this size.
        batch: samples a pass.
        passes: passes whose gradients are averaged into one step.
        max_steps: the step limit.
        correction_steps: the step limit after a correction, when training goes on from the network there is.
        window: steps over which the loss is averaged to see whether it still falls.
        tolerance: the loss has settled when it fell by less than this share from one window to the next.
        cooldown: last steps, over which the rate falls to zero.
        average: how the loss is averaged, see `class_balanced_bce`.
        side_weight: weight of each side loss beside the fused one.
        augmentation: random changes of each sample, for networks that see frames alone.
        scene: how pairs of frames are made, for those that follow.
        mask_corruption: how wrong their guides are.
        following: how they follow objects.
        seconds: the time limit of the training.
        pool: pairs of frames drawn once, for a network that follows and whose encoder learns no more: it sees
            them once, and its decoder learns from them with ever new guides. 0 draws new pairs for every
            step, and the encoder learns, too.
        correction_pool: the pool after a correction.
        encoder_learns_from: which keyframes teach the encoder of a network that follows: "all", "none", or
            "drawn", all unless each mask is made of clicks alone, whose faults would be learned, too.
        kept: share of what was learned that is kept: the weights end that far from those they began with to
            those that were learned, which holds against learning one frame by heart (Wortsman et al.,
            "Robust Fine-Tuning of Zero-Shot Models", CVPR 2022). Without a parent all is kept.
        kept_of_clicks: in place of `kept` where every mask is made of clicks alone.
    """

    longest_side: Annotated[int, Field(ge=32)] | None
    batch: AtLeastOne
    passes: AtLeastOne
    max_steps: NotNegative
    correction_steps: NotNegative
    window: AtLeastOne
    tolerance: float
    cooldown: NotNegative
    average: Average
    side_weight: Annotated[float, Field(ge=0)]
    augmentation: Augmentation = field(default_factory=Augmentation)
    scene: SceneRecipe | None = None
    mask_corruption: MaskCorruption | None = None
    following: TrackingSettings = field(default_factory=TrackingSettings)
    seconds: Annotated[float, Field(ge=0)] | None = None
    pool: NotNegative = 0
    correction_pool: NotNegative = 0
    encoder_learns_from: Literal["all", "drawn", "none"] = "all"
    kept: Share = 1.0
    kept_of_clicks: Share = 1.0

    def limited_to(self, max_steps: int) -> "Recipe":
        """The recipe with another step limit; a cool-down longer than half of it is shortened."""
        if max_steps == self.max_steps:
            return self
        return replace(self, max_steps=max_steps, cooldown=min(self.cooldown, max_steps // 2))

    def again(self) -> "Recipe":
        """The recipe after a correction."""
        return replace(self.limited_to(min(self.correction_steps, self.max_steps)), pool=self.correction_pool)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        return asdict(self)


class _Changed(Settings):
    recipe: Recipe


def changed(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """A recipe with `key=value` in place of what it says, groups as `group.key=value`.

    Raises:
        ConfigError: an unknown key or a value of the wrong kind.
    """
    base = {"recipe": recipe.as_dict()}
    given = [f"recipe.{setting}" for setting in settings]
    try:
        return load_settings(_Changed, None, given, base).recipe
    except ConfigError as fault:
        # nobody typed the name of the group
        raise ConfigError(str(fault).replace("recipe.", "")) from None
