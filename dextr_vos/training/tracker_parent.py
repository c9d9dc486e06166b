"""What the lite parent learns: to find an object again, from another frame with its mask and a guide."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dextr_vos.datasets.frame_pairs import SceneRecipe, draw_scene, pair_sample
from dextr_vos.datasets.instances import Concat, Example, ObjectSet
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import draw_frames
from dextr_vos.datasets.registry import holdout_part, open_objects
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.networks.lite_tracker import normalize_frames
from dextr_vos.networks.losses import plain_bce, soft_iou_loss
from dextr_vos.propagation.models import LITE, build_network
from dextr_vos.training.loop import NamedTensors
from dextr_vos.training.parent_settings import ParentSettings
from dextr_vos.training.schedule import SampleOrder, lite_optimizer


class TrackerTask:
    """See `loop.Task`.

    Args:
        settings: everything about the training.
        beside: folder that paths inside the settings' file are relative to.
    """

    def __init__(self, settings: ParentSettings, beside: Path = Path()) -> None:
        self._settings = settings
        self.network: nn.Module = build_network(LITE, 1, settings.seed, settings.start, freeze_norm=False)
        self.optimizer: torch.optim.Optimizer = lite_optimizer(
            self.network, settings.rate, settings.weight_decay
        )
        scene, corruption = settings.scene or SceneRecipe(), settings.mask_corruption or MaskCorruption()
        share = settings.hold_out
        opened = [open_objects(data, settings.data_root, beside) for data in settings.data]
        sets = [holdout_part(part, share, kept=False) for part in opened]
        order = SampleOrder(
            [len(part.refs) for part in sets], [data.repeat for data in settings.data], settings.seed
        )
        self.samples = PairSamples(Concat(sets), order, settings.seed, scene, corruption)
        named = [open_objects(data, settings.data_root, beside) for data in settings.validation]
        unseen = Concat(named or [holdout_part(part, share, kept=True) for part in opened])
        self._validation: PairSamples | None = None
        if unseen.refs:
            order = SampleOrder([len(unseen.refs)], [1.0], settings.seed + 1)
            self._validation = PairSamples(unseen, order, settings.seed + 1, scene, corruption)

    def loss(self, network: nn.Module, batch: NamedTensors, done: float) -> Tensor:
        """See `loop.Task.loss`: the final loss, and those of the sides with a falling weight."""
        *sides, final = network(*_inputs(batch))
        target, void = batch["target"].float(), batch["void"]
        loss = _one_loss(final, target, void)
        for side in sides:
            loss = loss + self._settings.side_weight * (1 - done) * _one_loss(side, target, void)
        return loss

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU over pairs of frames made of pictures kept for validation."""
        if self._validation is None:
            return {}
        network.eval()
        device = next(network.parameters()).device
        ious = []
        for position in range(self._settings.validation_samples):
            sample = self._validation[position]
            batch = {key: tensor[None].to(device) for key, tensor in sample.items()}
            mask = network(*_inputs(batch))[-1][0, 0] > 0
            void = batch["void"][0, 0]
            ious.append(region_similarity(sample["target"][0].numpy(), (mask & ~void).cpu().numpy()))
        return {"iou": float(np.mean(ious))}


def _inputs(batch: NamedTensors) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `LiteTracker.forward` takes."""
    frames, known = (normalize_frames(batch[key]) for key in ("image", "known"))
    return frames, batch["guide"], known, batch["known_mask"].float()


def _one_loss(logits: Tensor, target: Tensor, void: Tensor) -> Tensor:
    logits = logits.float()
    return plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)


class PairSamples(Dataset[dict[str, Tensor]]):
    """Samples by their position in the run; a pure function of the seed and the position.

    Args:
        objects: the sets joined.
        order: which object comes where.
        seed: of all that is random.
        scene: how frames are made of pictures.
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

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """The sample at a position, see `pair_sample`."""
        rng = np.random.default_rng((self._seed, position))
        example = self._objects.read(self._order.at(position))
        ground, sprites = draw_scene(example, self._draw, self._scene, rng)
        return pair_sample(*draw_frames(ground, sprites, self._scene.motion, rng), self._corruption, rng)

    def _draw(self, rng: np.random.Generator) -> Example:
        return self._objects.read(self._order.at(int(rng.integers(self._order.epoch_length))))
