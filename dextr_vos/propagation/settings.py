"""How a network is fine-tuned on one clip and tracks its objects, and which of that KEY=VALUE can change."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field

from dextr_vos.config import Settings, load_settings, unknown_setting
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.errors import ConfigError
from dextr_vos.interrupt import StopAsked, never

AtLeastOne = Annotated[int, Field(ge=1)]
Average = Literal["batch", "size", "sum"]  # see `losses.class_balanced_bce`
ModelName = Literal["lite", "paper", "sam2"]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class CropSettings:
    """How crops are cut out.

    Attributes:
        margins: one crop each; the crop's sides as a multiple of the sides of the objects' box.
        least: shortest side of a crop, as a share of the frame's.
        enlarge: largest factor by which pixels of the frame are enlarged.
    """

    margins: Annotated[tuple[Annotated[float, Field(ge=1)], ...], Field(min_length=1)] = (2.0,)
    least: Annotated[float, Field(gt=0, le=1)] = 0.25
    enlarge: Annotated[float, Field(gt=0)] = 1.6


@dataclass(frozen=True)
class TrackingSettings:
    """How objects are tracked from frame to frame.

    Attributes:
        longest_side: longest side of the frames on which soft masks are propagated, in pixels; larger frames
            are resized to it.
        max_keyframes: keyframes held in memory for a span, the nearest ones.
        max_recent: frames of the pass itself held in memory, the last ones; 0 for none.
        mem_every: every how many frames one is memorized.
        bidirectional: run a pass from the keyframe on each side of a span, not from the earlier one alone.
        confidence_power: how strongly the more confident of two passes is preferred. Each pass is weighted by
            its distance in time, times the IoU that the network expects of its masks to this power; 0
            weights by time alone.
        across_cuts: track from one shot into the next; otherwise objects are lost at a cut.
        crops: how the network's crops are cut out.
    """

    longest_side: Annotated[int, Field(ge=32)] = 854
    max_keyframes: AtLeastOne = 4
    max_recent: NotNegative = 3
    mem_every: AtLeastOne = 2
    bidirectional: bool = True
    confidence_power: Annotated[float, Field(ge=0)] = 8.0
    across_cuts: bool = False
    crops: CropSettings = field(default_factory=CropSettings)


_KEYFRAMES_THAT_COUNT = 4


@dataclass(frozen=True)
class Recipe:
    """How a network is fine-tuned on one clip.

    Attributes:
        longest_side: longest side of the resized frame, in pixels; None keeps the frame's size. A network
            that tracks sees a crop with as many pixels as a 16:9 frame of this size.
        batch: samples per forward pass; a network that tracks takes no more than the keyframes have masks.
        accumulate_grad: forward passes whose gradients are averaged into one step.
        max_steps: largest number of steps.
        steps_a_keyframe: largest number of steps per keyframe that shows an object, for masks of clicks with
            all keyframes together; None for no such limit.
        correction_steps: largest number of steps when training continues after a correction.
        alpha: weight interpolation between the starting weights (0) and the fine-tuned ones (1), which keeps
            the network from learning single frames by heart (Wortsman et al., "Robust Fine-Tuning of
            Zero-Shot Models", CVPR 2022), with one keyframe; see `for_keyframes`. Without a parent it is 1.
        alpha_clicked: the same, where every keyframe's mask comes from clicks alone.
        small_components: connected components of a mask smaller than this share of the object's largest one
            are removed where they are doubtful: their mean probability is below 0.6, or they are farther
            from it than half the root of its area; unless the keyframes show components as small. 0
            removes none.
        tracking: how objects are tracked.
        window: steps over which the loss is averaged to see whether it still falls.
        tolerance: the loss has converged when it fell by less than this share from one window to the next.
        cooldown: last steps, over which the learning rate falls to zero.
        average: how the loss is averaged, see `class_balanced_bce`.
        augmentation: random changes of each sample, for networks that see single frames.
        scene: how pairs of frames are rendered, for networks that track.
        mask_corruption: how wrong the guides of those pairs are.
        pool: pairs of frames rendered and encoded once, for a network that tracks and whose encoder is
            frozen; its decoder learns from them with new guides every time. 0 renders new pairs for every
            step and trains the encoder too.
        correction_pool: the same after a correction.
    """

    longest_side: Annotated[int, Field(ge=32)] | None
    batch: AtLeastOne
    accumulate_grad: AtLeastOne
    max_steps: NotNegative
    correction_steps: NotNegative
    window: AtLeastOne
    tolerance: float
    cooldown: NotNegative
    average: Average
    steps_a_keyframe: AtLeastOne | None = None
    alpha: Share = 1.0
    alpha_clicked: Share = 1.0
    small_components: Share = 0.2
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    scene: SceneRecipe | None = None
    mask_corruption: MaskCorruption | None = None
    pool: NotNegative = 0
    correction_pool: NotNegative = 0

    def limited_to(self, max_steps: int) -> "Recipe":
        """The recipe with another step limit; a cool-down longer than half of it is shortened."""
        if max_steps == self.max_steps:
            return self
        return replace(self, max_steps=max_steps, cooldown=min(self.cooldown, max_steps // 2))

    def for_keyframes(self, count: int) -> "Recipe":
        """The recipe for a number of keyframes that show an object, not all of them masks of clicks.

        The more there are, the longer it learns, and the more of that is kept: with n of them, of which no
        more than four count, 1 - (1 - alpha) / n. The errors of masks of clicks would be learned as well.
        """
        n = max(1, min(count, _KEYFRAMES_THAT_COUNT))
        alpha = self.alpha + (1 - self.alpha) * (1 - 1 / n) if self.alpha else 0.0
        steps = self.max_steps if self.steps_a_keyframe is None else n * self.steps_a_keyframe
        limited = self.limited_to(min(steps, self.max_steps))
        return replace(limited, alpha=alpha)

    def for_correction(self) -> "Recipe":
        """The recipe with which training continues after a correction."""
        limited = self.limited_to(min(self.correction_steps, self.max_steps))
        return replace(limited, pool=self.correction_pool)

    def as_dict(self) -> dict[str, Any]:
        """Plain values as JSON has them, for files."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


# what KEY=VALUE of `dextr-vos propagate` may change; the rest is part of the model
KEYS: Mapping[str, str] = MappingProxyType(
    {
        "longest_side": "longest side of the frame that enters the network, in pixels",
        "batch": "samples per forward pass",
        "accumulate_grad": "forward passes per step",
        "max_steps": "largest number of steps",
        "steps_a_keyframe": "largest number of steps per keyframe that shows an object",
        "correction_steps": "largest number of steps after a correction",
        "alpha": "0 keeps the starting weights, 1 the fine-tuned ones",
        "alpha_clicked": "the same where all keyframe masks come from clicks",
        "small_components": "doubtful components below this share of the largest are removed",
        "tracking.longest_side": "longest side of the propagated soft masks, in pixels",
        "tracking.max_keyframes": "keyframes in memory",
        "tracking.max_recent": "recent frames in memory",
        "tracking.mem_every": "every how many frames one is memorized",
        "tracking.bidirectional": "propagate from both neighbouring keyframes",
        "tracking.confidence_power": "how strongly the more confident pass is preferred",
        "tracking.across_cuts": "track from one shot into the next",
    }
)


def _ignore(*_: object) -> None:
    """The default callback."""


@dataclass(frozen=True)
class Callbacks:
    """Functions that are notified of the progress, and asked whether the work should stop.

    Attributes:
        on_estimate: called before the training with an `Estimate` of the time; None saves measuring it.
        on_step: called after each step with steps done, steps expected and the loss.
        on_frame: called with steps done and in all: a frame between two keyframes takes two, others one.
        stop_asked: asked between steps and between frames.
        on_phase: called with what is being done ("loading", "reading", "encoding", "measuring", "training",
            "checking" or "segmenting"), units done and in all, 0 where they are not counted; only when
            "training" and "segmenting" begin. What it raises ends the work.
    """

    on_estimate: Callable[[Any], None] | None = None
    on_step: Callable[[int, int, float], None] = _ignore
    on_frame: Callable[[int, int], None] = _ignore
    stop_asked: StopAsked = never
    on_phase: Callable[[str, int, int], None] = _ignore


NO_CALLBACKS = Callbacks()


def how_to_set(key: str, value: str = "VALUE") -> str:
    """How a setting is written, for who gave it otherwise."""
    return f"{key} is a setting: write {key}={value} (docs/formats.md#settings-of-propagate)"


class _Changed(Settings):
    recipe: Recipe


def changed(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """A recipe with some of its values replaced.

    Args:
        recipe: the defaults.
        settings: `KEY=VALUE` each, keys as in `KEYS`.

    Raises:
        ConfigError: an unknown key or a value of the wrong kind.
    """
    for setting, following in zip(settings, [*settings, ""][1:], strict=True):
        key, equals, _ = setting.partition("=")
        if equals and key not in KEYS:
            raise ConfigError(f"{setting}: {unknown_setting(key, list(KEYS))}")
        if not equals and key in KEYS:
            raise ConfigError(how_to_set(key, following or "VALUE"))
    base = {"recipe": recipe.as_dict()}
    given = [f"recipe.{setting}" for setting in settings]
    try:
        recipe = load_settings(_Changed, None, given, base).recipe
    except ConfigError as error:
        # nobody typed the name of the group
        raise ConfigError(str(error).replace("recipe.", "")) from None
    keys = {setting.partition("=")[0] for setting in settings}
    if "max_steps" in keys and "steps_a_keyframe" not in keys:
        return replace(recipe, steps_a_keyframe=None)
    return recipe
