"""What the lite parent learns: to find an object again, from another frame with its mask and a guide."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dextr_vos.datasets.frame_pairs import SceneRecipe, draw_scene, pair_sample
from dextr_vos.datasets.instances import Example, ObjectSet
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import draw_frames
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.networks.lite_tracker import normalize_frames
from dextr_vos.networks.losses import plain_bce, soft_iou_loss
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.task import NamedTensors


class PairSamples(Dataset[NamedTensors]):
    """Pairs of frames by their position in the run; a pure function of the seed and the position.

    Args:
        objects: the sets joined.
        order: which object comes where.
        seed: of all that is random.
        scene: how frames are made of images.
        corruption: how wrong guides are.
    """

    def __init__(
        self,
        objects: ObjectSet,
        order: SampleOrder,
        seed: int,
        scene: SceneRecipe,
        corruption: MaskCorruption,
    ) -> None:
        self._objects, self._order, self._seed = objects, order, seed
        self._scene, self._corruption = scene, corruption

    def __getitem__(self, position: int) -> NamedTensors:
        """The sample at a position, see `pair_sample`."""
        rng = np.random.default_rng((self._seed, position))
        example = self._objects.read(self._order.at(position))
        background, sprites = draw_scene(example, self._draw, self._scene, rng)
        frames = draw_frames(background, sprites, self._scene.motion, rng)
        return pair_sample(*frames, self._corruption, rng)

    def _draw(self, rng: np.random.Generator) -> Example:
        return self._objects.read(self._order.at(int(rng.integers(self._order.epoch_length))))


class TrackerTask:
    """See `task.Task`.

    Args:
        network: a `LiteTracker`.
        optimizer: of all its parameters.
        samples: to learn from.
        validation: to validate on; None leaves it out.
        validation_samples: how many of these are validated on.
        side_weight: weight of the side losses at the beginning.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        samples: PairSamples,
        validation: PairSamples | None,
        validation_samples: int,
        side_weight: float,
    ) -> None:
        self.network, self.optimizer, self.samples = network, optimizer, samples
        self._validation, self._validation_samples = validation, validation_samples
        self._side_weight = side_weight

    def loss(self, network: nn.Module, batch: NamedTensors, done: float) -> Tensor:
        """See `task.Task.loss`: the final loss, and those of the sides with a falling weight."""
        *sides, final = network(*_inputs(batch))
        target, void = batch["target"].float(), batch["void"]
        loss = _one_loss(final, target, void)
        for side in sides:
            loss = loss + self._side_weight * (1 - done) * _one_loss(side, target, void)
        return loss

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU over pairs of frames made of images kept for validation."""
        if self._validation is None:
            return {}
        network.eval()
        device = next(network.parameters()).device
        ious = []
        for position in range(self._validation_samples):
            sample = self._validation[position]
            batch = {key: tensor[None].to(device) for key, tensor in sample.items()}
            mask = network(*_inputs(batch))[-1][0, 0] > 0
            void = batch["void"][0, 0]
            ious.append(region_similarity(sample["target"][0].numpy(), (mask & ~void).cpu().numpy()))
        return {"iou": float(np.mean(ious))}


def _inputs(batch: NamedTensors) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arguments of `LiteTracker.forward`."""
    frames, known = (normalize_frames(batch[key]) for key in ("image", "known"))
    return frames, batch["guide"], known, batch["known_mask"].float()


def _one_loss(logits: Tensor, target: Tensor, void: Tensor) -> Tensor:
    logits = logits.float()
    return plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)
