"""Training the parent of the propagation networks: what an object is, before fine-tuning shows which one.

OSVOS (Caelles et al., CVPR 2017) for the paper model: whole frames of DAVIS, all side losses, their weight
falling to nothing. The lite model learns to track one object through short sequences, see `tracker_task`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, model_validator

from dextr_vos.config import Settings, as_yaml
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.frame_sequences import SequenceRecipe
from dextr_vos.datasets.instances import ObjectSet
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.registry import DataSettings, holdout_part, open_objects
from dextr_vos.errors import InputError
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.imagenet import IMAGENET, imagenet_state, load_torchvision_vgg
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.networks.optim import lite_optimizer
from dextr_vos.networks.osvos import Osvos, parent_optimizer
from dextr_vos.propagation.models import LITE, PAPER
from dextr_vos.training.checkpoint_folder import TrainingFolder
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.loop import OnStep, TrainingResult, train
from dextr_vos.training.osvos_task import ImageSamples, OsvosTask, WholeImages
from dextr_vos.training.task import LoopSettings, Task
from dextr_vos.training.tracker_task import SequenceSamples, TrackerTask, joined

_ONLY_FOR = {
    "lite": (
        "encoder_rate",
        "weight_decay",
        "clips",
        "validation_clips",
        "rendered",
        "sizes_hw",
        "sequence",
        "scene",
        "mask_corruption",
        "alpha",
    ),
    "paper": ("side_weight", "augmentation"),
}
# what stands in the metadata of the weights
_NETWORKS = {"lite": "lite-parent", "paper": "osvos-parent"}


class ParentSettings(Settings):
    """Everything about the training of a parent network.

    Attributes:
        out: folder of the training.
        model: lite, or the paper's.
        start: checkpoint to begin with: of a parent; for the lite model also a network for clicks, for the
            paper model also torchvision's VGG-16 or `vgg_caffe.mat`, and "imagenet" downloads the former.
            None begins with random weights.
        rate: learning rate; for the paper model per sample and pixel, its loss being a sum.
        encoder_rate: factor on the rate for the encoder; for lite.
        weight_decay: of the lite model's optimizer.
        side_weight: weight of the side losses at the beginning; it falls to nothing in a line; for the paper
            model.
        data_root: folder that the roots of the data sets are relative to.
        data: the data sets.
        hold_out: share of the images that are kept for validation, where `validation` names no data.
        validation: data sets to validate on.
        validation_samples: at most this many images, or sequences of frames, are validated on.
        clips: data sets whose images are the frames of clips; for lite.
        validation_clips: clips to validate on; for lite.
        rendered: share of the sequences that are rendered from the images of `data`; for lite.
        sizes_hw: height and width of the frames, in turns, multiples of 16; for lite.
        sequence: how sequences are cut out of clips; for lite.
        scene: how sequences are rendered from images; for lite. Their size is one of `sizes_hw`.
        mask_corruption: how wrong the first guides are; for lite. How often the known mask is wrong is said
            by `sequence.known`.
        augmentation: random changes of whole images; for the paper model.
        loop: how long and how fast.
        alpha: of the weights that are written in fp16, to be shipped: 1 for those after the training, less
            for those on the line from `start`, a parent, to them; for lite.
        seed: of everything random.
    """

    out: Path
    model: Literal["lite", "paper"] = "lite"
    start: Path | None = None
    rate: float = Field(default=1e-3, gt=0)
    encoder_rate: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    side_weight: float = Field(default=0.5, ge=0)
    data_root: Path = Path()
    data: tuple[DataSettings, ...] = ()
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    validation: tuple[DataSettings, ...] = ()
    validation_samples: int = Field(default=100, ge=1)
    clips: tuple[DataSettings, ...] = ()
    validation_clips: tuple[DataSettings, ...] = ()
    rendered: float = Field(default=0.3, ge=0, le=1)
    sizes_hw: tuple[tuple[int, int], ...] = Field(default=((224, 448), (336, 336)), min_length=1)
    sequence: SequenceRecipe | None = None
    scene: SceneRecipe | None = None
    mask_corruption: MaskCorruption | None = None
    augmentation: Augmentation | None = None
    loop: LoopSettings
    alpha: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _agrees(self) -> "ParentSettings":
        """Refuse what would silently do nothing, or cannot be done."""
        for model, names in _ONLY_FOR.items():
            given = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
            if given and self.model != model:
                raise ValueError(f"expected {given[0]} with model={model} alone")
        if self.model == "lite":
            if not self.data and not self.clips:
                raise ValueError("expected data, clips or both, got neither")
            if self.alpha < 1 and self.start is None:
                raise ValueError("expected start, a trained parent, where alpha is below 1")
            if any(side % 16 or side < 16 for size_hw in self.sizes_hw for side in size_hw):
                raise ValueError("expected sizes_hw to be multiples of 16, from 16 up")
            return self
        if not self.data:
            raise ValueError("expected data, at least one data set")
        if self.loop.batch > 1:
            raise ValueError("whole images differ in size: set loop.batch=1 and raise loop.accumulate_grad")
        return self


def train_parent(
    settings: ParentSettings,
    beside: Path = Path(),
    device: torch.device | None = None,
    on_step: OnStep | None = None,
    stop_asked: StopAsked = never,
) -> TrainingResult:
    """Train a parent network, or resume a training that was stopped.

    Args:
        settings: everything about it.
        beside: folder that paths inside the settings' file are relative to.
        device: see `loop.train`.
        on_step: see `loop.train`.
        stop_asked: see `loop.train`.

    Raises:
        InputError: a data set is missing, or the loss is no longer finite.
        WeightsError: the start does not fit.
        Interrupted: see `loop.train`.
    """
    folder = TrainingFolder(settings.out, as_yaml(settings), {"network": _NETWORKS[settings.model]})
    return train(_task(settings, beside), settings.loop, folder, settings.seed, device, on_step, stop_asked)


def _task(settings: ParentSettings, beside: Path) -> Task:
    opened = [open_objects(data, settings.data_root, beside) for data in settings.data]
    named = [open_objects(data, settings.data_root, beside) for data in settings.validation]
    training = [holdout_part(part, settings.hold_out, kept=False) for part in opened]
    validation = named or [holdout_part(part, settings.hold_out, kept=True) for part in opened]
    if settings.model == "lite":
        return _tracker_task(settings, beside, training, validation)
    return _osvos_task(settings, training, validation)


def _tracker_task(
    settings: ParentSettings, beside: Path, training: Sequence[ObjectSet], validation: Sequence[ObjectSet]
) -> TrackerTask:
    network = LITE.start(1, settings.seed, settings.start)
    assert isinstance(network, LiteTracker)
    if settings.alpha < 1 and not network.pretrained:
        raise InputError("expected start to be a trained parent where alpha is below 1")
    step_samples = settings.loop.batch * settings.loop.accumulate_grad

    def samples(
        images: Sequence[ObjectSet], clips: Sequence[DataSettings], repeats: Sequence[float], seed: int
    ) -> SequenceSamples:
        counts = [len(part.refs) for part in images]
        return SequenceSamples(
            [open_objects(data, settings.data_root, beside) for data in clips],
            [data.repeat for data in clips],
            joined(images),
            SampleOrder(counts, repeats, seed) if any(counts) else None,
            settings.rendered,
            settings.sizes_hw,
            step_samples,
            settings.sequence or SequenceRecipe(),
            settings.scene or SceneRecipe(),
            settings.mask_corruption or MaskCorruption(),
            seed,
        )

    validates = bool(settings.validation_clips) or any(part.refs for part in validation)
    return TrackerTask(
        network,
        lite_optimizer(network, settings.rate, settings.weight_decay, settings.encoder_rate),
        samples(training, settings.clips, [data.repeat for data in settings.data], settings.seed),
        samples(
            [] if settings.validation_clips else validation,
            settings.validation_clips,
            [] if settings.validation_clips else [1.0] * len(validation),
            settings.seed + 1,
        )
        if validates
        else None,
        settings.validation_samples,
    )


def _osvos_task(
    settings: ParentSettings, training: Sequence[ObjectSet], validation: Sequence[ObjectSet]
) -> OsvosTask:
    from_imagenet = str(settings.start) == IMAGENET
    network = PAPER.start(1, settings.seed, None if from_imagenet else settings.start)
    assert isinstance(network, Osvos)
    if from_imagenet:
        load_torchvision_vgg(network, imagenet_state("vgg16"))
    images = WholeImages(training)
    order = SampleOrder(images.counts, [data.repeat for data in settings.data], settings.seed)
    return OsvosTask(
        network,
        parent_optimizer(network, settings.rate),
        ImageSamples(images, order, settings.seed, settings.augmentation),
        WholeImages(validation),
        settings.validation_samples,
        settings.side_weight,
    )
