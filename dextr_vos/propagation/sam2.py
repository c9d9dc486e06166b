"""SAM 2 (Ravi et al., ICLR 2025) as a propagation model: nothing is fine-tuned, keyframes are its memory.

A frame is segmented from the keyframes beside its span and from the frames before it, in one pass, as the
authors' video predictor does with masks as prompts. Frames are read one by one, and what is no longer needed
is dropped, so that a clip may be of any length.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from dextr_vos.errors import WeightsError
from dextr_vos.files import file_digest
from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.lite_tracker import Memory
from dextr_vos.networks.sam import load_sam2
from dextr_vos.networks.tiny_vit import MEAN_RGB, STD_RGB
from dextr_vos.propagation.batch_source import BatchSource
from dextr_vos.propagation.bidirectional import MaskFiles, PassMasks
from dextr_vos.propagation.confidence import mask_areas
from dextr_vos.propagation.keyframes import AnnotatedClip, FramePrediction, OnFrameDone, Span, SpanPart
from dextr_vos.propagation.training_data import ClipBatch
from dextr_vos.runtime import autocast

_MEMORIZED = ("maskmem_features", "maskmem_pos_enc", "obj_ptr")
_DIGEST = "checkpoint_sha256"
_KEYFRAMES_KEPT = 4


class Sam2Network(nn.Module):
    """SAM 2, whose state is the digest of its checkpoint alone: no run needs a copy of the weights."""

    checkpoint_sha256: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(_DIGEST, torch.zeros(32, dtype=torch.uint8))
        self._held: list[nn.Module] = []  # not among the modules, so that it is neither saved nor trained

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The network itself, since nothing in it changes."""
        return self

    def load(self, checkpoint: Path) -> None:
        """Load the weights.

        Raises:
            InputError: sam2 is not installed.
            WeightsError: the checkpoint is missing, broken or of another network.
        """
        self._held = [load_sam2(checkpoint)]
        digest = torch.tensor(list(bytes.fromhex(file_digest(checkpoint))), dtype=torch.uint8)
        self.checkpoint_sha256.copy_(digest)

    def load_of_run(self, state: Mapping[str, Tensor], path: Path) -> None:
        """Load the checkpoint that a run was made with.

        Args:
            state: of the network that the run saved.
            path: its file.

        Raises:
            WeightsError: it is gone, or it was changed.
        """
        parent = Path(json.loads(read_metadata(path)["record"])["parent"])
        if not parent.is_file():
            raise WeightsError(
                f"{path} was made with {parent}, which is gone; put it back, or propagate again"
            )
        self.load(parent)
        if not torch.equal(self.checkpoint_sha256, state[_DIGEST]):
            raise WeightsError(
                f"{parent} was changed since {path} was made with it; start again with --fresh"
            )

    def on(self, device: torch.device) -> Any:
        """The network of the package `sam2`, on a device."""
        return self._held[0].to(device)


class Sam2Propagator:
    """Frames of a clip's spans, from the keyframes beside them and the frames before.

    Args:
        annotated: the clip and its keyframes.
        network: of SAM 2, on `device`.
        device: where to compute.
        bf16: compute in bf16 where that is faster.
        across_cuts: whether flashes, which belong to no shot, are segmented, too.
        folder: for soft masks of a pass that goes backward.
    """

    def __init__(
        self,
        annotated: AnnotatedClip,
        network: Any,
        device: torch.device,
        bf16: bool,
        across_cuts: bool,
        folder: Path,
    ) -> None:
        self._annotated, self._network, self._device = annotated, network, device
        self._bf16, self._across_cuts, self._folder = bf16, across_cuts, folder
        self._count = len(annotated.object_ids)
        self._certain = np.ones(self._count, np.float32)
        self._keyframe = lru_cache(_KEYFRAMES_KEPT)(self._memorize_keyframe)

    def steps(self, part: SpanPart) -> int:
        """Every frame from the keyframe on is segmented once, up to the last one wanted."""
        if part.span.before is None and part.span.after is not None:
            return part.span.last + 1 - part.begin
        return part.end + 1 - part.span.first

    def propagate(
        self, part: SpanPart, on_step: OnFrameDone, on_known: OnFrameDone = lambda: None
    ) -> Iterator[FramePrediction]:
        """The frames of a part in order; `on_step` is called after each that is segmented."""
        span = part.span
        if span.before is not None or span.after is None:
            for index, probs in self._pass(span, range(span.first, part.end + 1), on_step):
                if index >= part.begin:
                    yield self._prediction(index, probs)
            return
        made = MaskFiles(self._folder / f"{span.first:08d}-backward", self._count)
        for index, probs in self._pass(span, range(span.last, part.begin - 1, -1), on_step):
            masks = torch.from_numpy(probs)
            made.write(index, PassMasks(masks, torch.from_numpy(self._certain), mask_areas(masks)))
        for index in range(part.begin, part.end + 1):
            yield self._prediction(index, made.read(index).probs.numpy())

    def repeat(self, index: int) -> FramePrediction:
        """A keyframe segmented from its memory alone, as if it came right after itself."""
        image = self._annotated.read(index)
        memory = {"cond_frame_outputs": {index: self._keyframe(index)}, "non_cond_frame_outputs": {}}
        out = self._step(image, index + 1, memory)
        return self._prediction(index, self._probs(out, image))

    def memory(self) -> Memory | None:
        """The objects are found in the clip of the keyframes only."""
        return None

    def forget(self) -> None:
        """Nothing depends on weights that change."""

    def segment_once(self, index: int) -> None:
        """Segment a frame with a keyframe and as many frames remembered as the clip allows; for timing."""
        known, count = self._keyframe(index), min(self._frames_remembered, len(self._annotated) - 1)
        recent = {index + 1 + place: known for place in range(count)}
        memory = {"cond_frame_outputs": {index: known}, "non_cond_frame_outputs": recent}
        self._step(self._annotated.read(index), index + 1 + count, memory)

    def _pass(
        self, span: Span, indices: Sequence[int], on_step: OnFrameDone
    ) -> Iterator[tuple[int, FloatArray]]:
        """Soft masks of frames one after the other, K×H×W."""
        ends = [end for end in (span.before, span.after) if end is not None]
        known = {end: self._keyframe(end) for end in ends}
        recent: dict[int, dict[str, Any]] = {}
        memory = {"cond_frame_outputs": known, "non_cond_frame_outputs": recent}
        for index in indices:
            image = self._annotated.read(index)
            if not ends or (not self._across_cuts and self._annotated.shots.is_outside_shot(index)):
                probs = np.zeros((self._count, *image.shape[:2]), np.float32)
            else:
                out = self._step(image, index, memory, reverse=span.before is None)
                probs = self._probs(out, image)
                recent[index] = _memorized(out)
                while len(recent) > self._frames_remembered:
                    del recent[next(iter(recent))]
            yield index, probs
            on_step()

    def _prediction(self, index: int, probs: FloatArray) -> FramePrediction:
        return FramePrediction(index, self._annotated.read(index), probs, self._certain)

    @property
    def _frames_remembered(self) -> int:
        strided = self._network.num_maskmem * self._network.memory_temporal_stride_for_eval
        return int(max(strided, self._network.max_obj_ptrs_in_encoder))

    def _memorize_keyframe(self, index: int) -> dict[str, Any]:
        labels, side = self._annotated.keyframes[index].labels, self._network.image_size
        masks = np.stack([labels == object_id for object_id in self._annotated.object_ids])
        fitted = F.interpolate(
            torch.from_numpy(masks[:, None].astype(np.float32)), (side, side), mode="bilinear", antialias=True
        )
        empty: dict[str, Any] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        given = (fitted >= 0.5).float().to(self._device)
        return _memorized(self._step(self._annotated.read(index), index, empty, masks=given))

    @torch.inference_mode()
    def _step(
        self,
        image_rgb: ImageRgb,
        index: int,
        memory: dict[str, Any],
        masks: Tensor | None = None,
        reverse: bool = False,
    ) -> dict[str, Any]:
        """What the network says of a frame, all objects at once; with masks, what it memorizes of them."""
        network = self._network
        with autocast(self._device, self._bf16):
            encoded = network.forward_image(_input(image_rgb, network.image_size).to(self._device))
            for maps in ("backbone_fpn", "vision_pos_enc"):
                encoded[maps] = [each.expand(self._count, -1, -1, -1) for each in encoded[maps]]
            _, features, positions, sizes = network._prepare_backbone_features(encoded)
            out: dict[str, Any] = network.track_step(
                frame_idx=index,
                is_init_cond_frame=masks is not None,
                current_vision_feats=features,
                current_vision_pos_embeds=positions,
                feat_sizes=sizes,
                point_inputs=None,
                mask_inputs=masks,
                output_dict=memory,
                num_frames=len(self._annotated),
                track_in_reverse=reverse,
            )
        return out

    def _probs(self, out: dict[str, Any], image_rgb: ImageRgb) -> FloatArray:
        logits = F.interpolate(out["pred_masks"].float(), image_rgb.shape[:2], mode="bilinear")
        probs: FloatArray = torch.sigmoid(logits[:, 0]).cpu().numpy()
        return probs


class NothingToLearn(BatchSource):
    """Batches for a network that is not fine-tuned, of which none is asked for but to measure its time."""

    def prepare(self, *_: object, **__: object) -> None:
        """Nothing is computed."""

    def batch(self, index: int) -> ClipBatch:
        """An empty batch."""
        return ClipBatch((), torch.zeros(0), torch.zeros(0))

    def logits(self, network: nn.Module, batch: ClipBatch, device: torch.device) -> list[Tensor]:
        """None."""
        return []

    def loss(self, logits: Sequence[Tensor], batch: ClipBatch) -> Tensor:
        """Zero."""
        return torch.zeros((), requires_grad=True)


def _memorized(out: dict[str, Any]) -> dict[str, Any]:
    """What later frames need to know of one."""
    return {key: out[key] for key in _MEMORIZED}


def _input(image_rgb: ImageRgb, side: int) -> Tensor:
    """A frame as the network takes it, 1×3×S×S."""
    resized = np.asarray(Image.fromarray(image_rgb).resize((side, side)), np.float32)
    normalized = (resized - np.array(MEAN_RGB, np.float32)) / np.array(STD_RGB, np.float32)
    return torch.from_numpy(normalized).permute(2, 0, 1)[None]
