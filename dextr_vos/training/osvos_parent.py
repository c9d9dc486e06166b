"""What the OSVOS parent learns: every object of a picture is foreground (Caelles et al., CVPR 2017)."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dextr_vos.datasets.augment import Augmentation, augment
from dextr_vos.datasets.copy_paste import Layer
from dextr_vos.datasets.instances import Concat, ObjectSet
from dextr_vos.datasets.registry import holdout_part, open_objects
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.masks import VOID
from dextr_vos.networks.losses import class_balanced_bce
from dextr_vos.networks.osvos import Osvos, osvos_input, parent_optimizer
from dextr_vos.propagation.models import OSVOS, build_network
from dextr_vos.training.loop import NamedTensors
from dextr_vos.training.parent_settings import ParentSettings
from dextr_vos.training.schedule import SampleOrder


class OsvosTask:
    """See `loop.Task`.

    Args:
        settings: everything about the training.
        beside: folder that paths inside the settings' file are relative to.
    """

    def __init__(self, settings: ParentSettings, beside: Path = Path()) -> None:
        self._settings = settings
        network = build_network(OSVOS, 1, settings.seed, settings.start)
        assert isinstance(network, Osvos)
        self.network: nn.Module = network
        self.optimizer: torch.optim.Optimizer = parent_optimizer(network, settings.rate)
        sets = [open_objects(data, settings.data_root, beside) for data in settings.data]
        share = settings.hold_out
        pictures = WholeImages([holdout_part(objects, share, kept=False) for objects in sets])
        order = SampleOrder(pictures.counts, [data.repeat for data in settings.data], settings.seed)
        self.samples = ImageSamples(pictures, order, settings.seed, settings.augmentation)
        validation = [open_objects(data, settings.data_root, beside) for data in settings.validation]
        self._validation = WholeImages(validation or [holdout_part(part, share, kept=True) for part in sets])

    def loss(self, network: nn.Module, batch: NamedTensors, done: float) -> Tensor:
        """See `loop.Task.loss`: the fused loss, and those of the sides with a falling weight."""
        frames = osvos_input(batch["image"].cpu().numpy()).to(batch["image"].device)
        *sides, fused = network(frames)
        target, void = batch["target"].float(), batch["void"]
        loss = class_balanced_bce(fused.float(), target, void)
        for side in sides:
            side_loss = class_balanced_bce(side.float(), target, void)
            loss = loss + self._settings.side_weight * (1 - done) * side_loss
        return loss

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU of the foreground of whole pictures kept for validation."""
        network.eval()
        device = next(network.parameters()).device
        ious = []
        count = len(self._validation)
        chosen = np.linspace(0, count - 1, min(count, self._settings.validation_samples)).round().astype(int)
        for number in chosen.tolist():
            layer = self._validation.read(number)
            logits = network(osvos_input(layer.image_rgb[None]).to(device))[-1]
            mask = (logits[0, 0] > 0).cpu().numpy() & ~layer.void
            ious.append(region_similarity(layer.mask, mask))
        return {"iou": float(np.mean(ious))} if ious else {}


class WholeImages:
    """The pictures of sets of objects, one set after the other, each with the union of its objects.

    Args:
        sets: a picture that two of them have counts twice.
    """

    def __init__(self, sets: Sequence[ObjectSet]) -> None:
        self._objects = Concat(sets)
        by_picture: dict[tuple[int, str], list[int]] = defaultdict(list)
        places = [(number, ref.image) for number, part in enumerate(sets) for ref in part.refs]
        for index, place in enumerate(places):
            by_picture[place].append(index)
        self._indices = list(by_picture.values())
        self.counts = [sum(number == place[0] for place in by_picture) for number in range(len(sets))]

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, number: int) -> Layer:
        """A picture with all its objects as one mask."""
        examples = [self._objects.read(index) for index in self._indices[number]]
        mask = np.logical_or.reduce([example.mask for example in examples])
        return Layer(examples[0].image_rgb, mask, examples[0].void & ~mask)


class ImageSamples(Dataset[dict[str, Tensor]]):
    """Samples by their position in the run; a pure function of the seed and the position.

    Args:
        pictures: of all sets.
        order: which picture comes where.
        seed: of all that is random.
        augmentation: None leaves pictures as they are.
    """

    def __init__(
        self,
        pictures: WholeImages,
        order: SampleOrder,
        seed: int,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._pictures, self._order, self._seed = pictures, order, seed
        self._augmentation = augmentation

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """The sample at a position.

        Returns:
            "image" H×W×3 uint8; "target" and "void" 1×H×W bool.
        """
        rng = np.random.default_rng((self._seed, position))
        layer = self._pictures.read(self._order.at(position))
        if self._augmentation is not None:
            layer = _augmented(layer, self._augmentation, rng)
        return {
            "image": torch.from_numpy(layer.image_rgb.copy()),
            "target": torch.from_numpy(layer.mask)[None],
            "void": torch.from_numpy(layer.void)[None],
        }


def _augmented(layer: Layer, augmentation: Augmentation, rng: np.random.Generator) -> Layer:
    labels = layer.mask.astype(np.uint8)
    labels[layer.void] = VOID
    image_rgb, changed = augment(layer.image_rgb, labels, augmentation, rng)
    return Layer(image_rgb, changed == 1, changed == VOID)
