"""What the parent of OSVOS learns: every object of an image is foreground (Caelles et al., CVPR 2017)."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dextr_vos.datasets.augment import Augmentation, augment
from dextr_vos.datasets.copy_paste import Layer
from dextr_vos.datasets.instances import Concat, ObjectSet
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.masks import VOID
from dextr_vos.networks.losses import class_balanced_bce
from dextr_vos.networks.osvos import osvos_input
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.task import NamedTensors


class WholeImages:
    """The images of sets of objects, one set after the other, each with the union of its objects.

    Args:
        sets: an image that two of them have counts twice.
    """

    def __init__(self, sets: Sequence[ObjectSet]) -> None:
        self._objects = Concat(sets)
        by_image: dict[tuple[int, str], list[int]] = defaultdict(list)
        places = [(number, ref.image) for number, part in enumerate(sets) for ref in part.refs]
        for index, place in enumerate(places):
            by_image[place].append(index)
        self._indices = list(by_image.values())
        self.counts = [sum(number == place[0] for place in by_image) for number in range(len(sets))]

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, index: int) -> Layer:
        """An image with all its objects as one mask."""
        examples = [self._objects.read(place) for place in self._indices[index]]
        mask = np.logical_or.reduce([example.mask for example in examples])
        return Layer(examples[0].image_rgb, mask, examples[0].void & ~mask)


class ImageSamples(Dataset[NamedTensors]):
    """Whole images by their position in the run; a pure function of the seed and the position.

    Args:
        images: of all sets.
        order: which image comes where.
        seed: of all that is random.
        augmentation: None leaves images as they are.
    """

    def __init__(
        self, images: WholeImages, order: SampleOrder, seed: int, augmentation: Augmentation | None = None
    ) -> None:
        self._images, self._order, self._seed = images, order, seed
        self._augmentation = augmentation

    def __getitem__(self, position: int) -> NamedTensors:
        """The sample at a position.

        Returns:
            "image" H×W×3 uint8; "target" and "void" 1×H×W bool.
        """
        rng = np.random.default_rng((self._seed, position))
        layer = self._images.read(self._order.at(position))
        if self._augmentation is not None:
            layer = _augmented(layer, self._augmentation, rng)
        return {
            "image": torch.from_numpy(layer.image_rgb.copy()),
            "target": torch.from_numpy(layer.mask)[None],
            "void": torch.from_numpy(layer.void)[None],
        }


class OsvosTask:
    """See `task.Task`.

    Args:
        network: an `Osvos` of one object.
        optimizer: of its parameters.
        samples: to learn from.
        validation: to validate on; may be empty.
        validation_images: at most this many of these, evenly over all.
        side_weight: weight of the side losses at the beginning.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        samples: ImageSamples,
        validation: WholeImages,
        validation_images: int,
        side_weight: float,
    ) -> None:
        self.network, self.optimizer, self.samples = network, optimizer, samples
        self._validation, self._validation_images = validation, validation_images
        self._side_weight = side_weight

    def loss(self, network: nn.Module, batch: NamedTensors, done: float) -> Tensor:
        """See `task.Task.loss`: the fused loss, and those of the sides with a falling weight."""
        frames = osvos_input(batch["image"].cpu().numpy()).to(batch["image"].device)
        *sides, fused = network(frames)
        target, void = batch["target"].float(), batch["void"]
        loss = class_balanced_bce(fused.float(), target, void)
        for side in sides:
            side_loss = class_balanced_bce(side.float(), target, void)
            loss = loss + self._side_weight * (1 - done) * side_loss
        return loss

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU of the foreground of whole images kept for validation."""
        network.eval()
        device = next(network.parameters()).device
        ious = []
        count = len(self._validation)
        chosen = np.linspace(0, count - 1, min(count, self._validation_images)).round().astype(int)
        for index in chosen.tolist():
            layer = self._validation.read(index)
            logits = network(osvos_input(layer.image_rgb[None]).to(device))[-1]
            mask = (logits[0, 0] > 0).cpu().numpy() & ~layer.void
            ious.append(region_similarity(layer.mask, mask))
        return {"iou": float(np.mean(ious))} if ious else {}


def _augmented(layer: Layer, augmentation: Augmentation, rng: np.random.Generator) -> Layer:
    labels = layer.mask.astype(np.uint8)
    labels[layer.void] = VOID
    image_rgb, changed = augment(layer.image_rgb, labels, augmentation, rng)
    return Layer(image_rgb, changed == 1, changed == VOID)
