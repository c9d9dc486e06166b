"""The settings of a training of a parent network, as a YAML in `configs/` gives them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from dextr_vos.config import Settings
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.registry import DataSettings
from dextr_vos.training.loop import LoopSettings


class ParentSettings(Settings):
    """Everything about the training of a parent network.

    Attributes:
        out: folder of the training.
        network: the model.
        start: checkpoint to begin with: of a parent; for lite also of a lite DEXTR; for osvos also
            torchvision's VGG-16 or `vgg_caffe.mat`. None begins with random weights.
        rate: of the optimiser; for osvos per sample and pixel, its loss being a sum.
        weight_decay: of the lite model's optimiser.
        side_weight: of the side losses at the beginning; it falls to nothing in a line.
        data_root: what the data sets' roots are relative to.
        data: the data sets.
        hold_out: share of the pictures that are kept for validation, where `validation` names no data.
        validation: data sets to validate on.
        validation_samples: at most this many pictures, or pairs of frames, are validated on.
        scene: how frames are made of pictures; for lite.
        mask_corruption: how wrong the guides are; for lite.
        augmentation: random changes of whole pictures; for osvos.
        loop: how long and how fast.
        seed: of everything random.
    """

    out: Path
    network: Literal["lite", "osvos"] = "lite"
    start: Path | None = None
    rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    side_weight: float = Field(default=0.5, ge=0)
    data_root: Path = Path()
    data: tuple[DataSettings, ...] = Field(min_length=1)
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    validation: tuple[DataSettings, ...] = ()
    validation_samples: int = Field(default=100, ge=1)
    scene: SceneRecipe | None = None
    mask_corruption: MaskCorruption | None = None
    augmentation: Augmentation | None = None
    loop: LoopSettings
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _agrees(self) -> "ParentSettings":
        """Refuse what would silently do nothing, or cannot be done."""
        if self.scene is not None and not 0 <= self.scene.others < 1:
            raise ValueError(f"expected scene.others from 0 to below 1, got {self.scene.others}")
        if self.network == "osvos":
            if self.scene is not None or self.mask_corruption is not None:
                raise ValueError(
                    "expected scene and mask_corruption with network lite alone; osvos takes whole pictures"
                )
            if self.loop.batch > 1:
                raise ValueError("whole pictures differ in size: set loop.batch=1 and take more loop.passes")
        elif self.augmentation is not None:
            raise ValueError("expected augmentation with network osvos alone; lite takes scene")
        return self
