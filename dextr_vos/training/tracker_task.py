"""What the lite parent learns: to find an object again, from another frame with its mask and a guide."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.datasets.catalogue import kept_part, open_objects
from dextr_vos.datasets.guide import Wear
from dextr_vos.datasets.objects import JoinedObjects
from dextr_vos.datasets.scene import Scene
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.networks.lite_tracker import normalised
from dextr_vos.networks.losses import plain_bce, soft_iou_loss
from dextr_vos.propagation.tiers import LITE, build_network
from dextr_vos.training.loop import Batch
from dextr_vos.training.optimizer import lite_optimizer
from dextr_vos.training.order import SampleOrder
from dextr_vos.training.pair_samples import PairSamples
from dextr_vos.training.parent_settings import ParentSettings


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
        scene, wear = settings.scene or Scene(), settings.wear or Wear()
        share = settings.hold_out
        opened = [open_objects(data, settings.data_root, beside) for data in settings.data]
        sets = [kept_part(part, share, kept=False) for part in opened]
        order = SampleOrder(
            [len(part.refs) for part in sets], [data.repeat for data in settings.data], settings.seed
        )
        self.samples = PairSamples(JoinedObjects(sets), order, settings.seed, scene, wear)
        named = [open_objects(data, settings.data_root, beside) for data in settings.validation]
        unseen = JoinedObjects(named or [kept_part(part, share, kept=True) for part in opened])
        self._validation: PairSamples | None = None
        if unseen.refs:
            order = SampleOrder([len(unseen.refs)], [1.0], settings.seed + 1)
            self._validation = PairSamples(unseen, order, settings.seed + 1, scene, wear)

    def loss(self, network: nn.Module, batch: Batch, done: float) -> Tensor:
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


def _inputs(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `LiteTracker.forward` takes."""
    frames, known = (normalised(batch[key]) for key in ("image", "known"))
    return frames, batch["guide"], known, batch["known_mask"].float()


def _one_loss(logits: Tensor, target: Tensor, void: Tensor) -> Tensor:
    logits = logits.float()
    return plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)
