"""What the lite tracker learns: to follow one object through a few frames by its own masks.

As in use, the guide of a frame is the network's own mask of the frame before, moved by the optical flow, and
its masks become memory, so that it learns to live with its errors (as Oh et al., ICCV 2019, and Cheng and
Schwing, "XMem", ECCV 2022, train on several frames).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.frame_sequences import (
    SequenceRecipe,
    clip_sequence,
    rendered_sequence,
    sequence_sample,
    tracks,
)
from dextr_vos.datasets.instances import Concat, Example, ObjectSet
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.errors import InputError
from dextr_vos.evaluation.interactive import mask_iou
from dextr_vos.networks.lite_tracker import LiteTracker, normalize_frames
from dextr_vos.networks.losses import plain_bce, soft_iou_loss
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.task import NamedTensors

_QUALITY_WEIGHT = 0.3
_FREEZE = 0.15  # share of the training in which the encoder stays as it is


class SequenceSamples(Dataset[NamedTensors]):
    """Sequences by their position in the run; a pure function of the seed and the position.

    Args:
        clips: sets of frames.
        weights: how often a sequence comes from each of these, for every object of a clip.
        images: sets of images joined; None for none.
        order: which object of these comes where.
        rendered: share of the sequences that are rendered from images.
        sizes_hw: of the frames, in turns.
        step_samples: samples of one optimizer step; all have the same size.
        recipe: how sequences are made.
        scene: how images become sequences.
        corruption: how wrong first guides are.
        seed: of all that is random.

    Raises:
        InputError: there is neither a clip nor an image.
    """

    def __init__(
        self,
        clips: Sequence[ObjectSet],
        weights: Sequence[float],
        images: ObjectSet | None,
        order: SampleOrder | None,
        rendered: float,
        sizes_hw: Sequence[tuple[int, int]],
        step_samples: int,
        recipe: SequenceRecipe,
        scene: SceneRecipe,
        corruption: MaskCorruption,
        seed: int,
    ) -> None:
        self._tracks = [(objects, track) for objects in clips for track in tracks(objects)]
        chances = [weight for objects, weight in zip(clips, weights, strict=True) for _ in tracks(objects)]
        if order is None and not chances:
            raise InputError("there is no object to train on; look at the data sets, min_area and repeat")
        self._chances = np.array(chances) / sum(chances) if chances else np.zeros(0)
        self._images, self._order = images, order
        self._rendered = (rendered if chances else 1.0) if order is not None else 0.0
        self._sizes_hw, self._step_samples = sizes_hw, step_samples
        self._recipe, self._scene, self._corruption, self._seed = recipe, scene, corruption, seed

    def __getitem__(self, position: int) -> NamedTensors:
        """The sample at a position, see `sequence_sample`."""
        rng = np.random.default_rng((self._seed, position))
        size_hw = self._sizes_hw[position // self._step_samples % len(self._sizes_hw)]
        if rng.random() < self._rendered:
            scene = replace(self._scene, size_hw=size_hw)
            sequence = rendered_sequence(self._image(position), self._draw, scene, self._recipe, rng)
        else:
            objects, track = self._tracks[int(rng.choice(len(self._tracks), p=self._chances))]
            sequence = clip_sequence(objects, track, size_hw, self._recipe, rng)
        return sequence_sample(sequence, self._recipe, self._corruption, rng)

    def _draw(self, rng: np.random.Generator) -> Example:
        assert self._order is not None
        return self._image(int(rng.integers(self._order.epoch_length)))

    def _image(self, position: int) -> Example:
        assert self._images is not None
        assert self._order is not None
        return self._images.read(self._order.at(position))


class TrackerTask:
    """See `task.Task`.

    Args:
        network: a `LiteTracker`.
        optimizer: of all its parameters.
        samples: to learn from.
        validation: to validate on; None leaves it out.
        validation_samples: how many of these are validated on.
    """

    def __init__(
        self,
        network: LiteTracker,
        optimizer: torch.optim.Optimizer,
        samples: SequenceSamples,
        validation: SequenceSamples | None,
        validation_samples: int,
    ) -> None:
        self.network: torch.nn.Module = network
        self.optimizer, self.samples = optimizer, samples
        self._validation, self._validation_samples = validation, validation_samples

    def loss(self, network: torch.nn.Module, batch: NamedTensors, done: float) -> Tensor:
        """See `task.Task.loss`: the mean over the frames of a sequence."""
        target, void = batch["target"].float(), batch["void"]
        remember = int(torch.randint(0, target.shape[1], ()))
        tracked = network(*_inputs(batch), remember, done >= _FREEZE)
        losses = [
            _loss(logits, quality, target[:, index : index + 1], void[:, index : index + 1])
            for index, (logits, quality) in enumerate(tracked)
        ]
        return torch.stack(losses).mean()

    @torch.inference_mode()
    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean IoU of the last frame of sequences kept for validation, and the error of its estimate."""
        if self._validation is None:
            return {}
        network.eval()
        device = next(network.parameters()).device
        ious, errors = [], []
        for position in range(self._validation_samples):
            sample = self._validation[position]
            batch = {key: tensor[None].to(device) for key, tensor in sample.items()}
            logits, quality = network(*_inputs(batch), 1)[-1]
            mask = (logits[0, 0] > 0).cpu().numpy()
            ious.append(mask_iou(mask, sample["target"][-1].numpy(), sample["void"][-1].numpy()))
            errors.append(abs(ious[-1] - float(quality[0])))
        return {"iou": float(np.mean(ious)), "quality": 1 - float(np.mean(errors))}


def _inputs(batch: NamedTensors) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The first arguments of `LiteTracker.forward`."""
    frames = batch["frames"]
    normalized = normalize_frames(frames.flatten(0, 1))
    return (
        normalized.view(*frames.shape[:2], *normalized.shape[1:]),
        batch["known_mask"].float(),
        batch["guide"],
        batch["flows"],
    )


def _loss(logits: Tensor, quality: Tensor, target: Tensor, void: Tensor) -> Tensor:
    logits = logits.float()
    with torch.no_grad():
        mask, truth = (logits > 0) & ~void, (target > 0.5) & ~void
        either = (mask | truth).sum((1, 2, 3))
        iou = torch.where(either > 0, (mask & truth).sum((1, 2, 3)) / either.clamp(min=1), 1.0)
    overlap = plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)
    return overlap + _QUALITY_WEIGHT * F.mse_loss(quality.float(), iou)


def joined(images: Sequence[ObjectSet]) -> ObjectSet | None:
    """Several sets of images as one; None where there is none."""
    return Concat(images) if any(part.refs for part in images) else None
