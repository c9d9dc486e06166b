"""What the OSVOS parent learns: every object of a picture is foreground (Caelles et al., CVPR 2017)."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.datasets.catalogue import kept_part, open_objects
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.networks.losses import class_balanced_bce
from dextr_vos.networks.osvos import Osvos, osvos_input, parent_optimizer
from dextr_vos.propagation.tiers import OSVOS, build_network
from dextr_vos.training.loop import Batch
from dextr_vos.training.order import SampleOrder
from dextr_vos.training.parent_settings import ParentSettings
from dextr_vos.training.picture_samples import Pictures, PictureSamples


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
        pictures = Pictures([kept_part(objects, share, kept=False) for objects in sets])
        order = SampleOrder(pictures.counts, [data.repeat for data in settings.data], settings.seed)
        self.samples = PictureSamples(pictures, order, settings.seed, settings.augmentation)
        validation = [open_objects(data, settings.data_root, beside) for data in settings.validation]
        self._validation = Pictures(validation or [kept_part(part, share, kept=True) for part in sets])

    def loss(self, network: nn.Module, batch: Batch, done: float) -> Tensor:
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
