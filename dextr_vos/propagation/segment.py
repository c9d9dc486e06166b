"""A trained network applied to any clip: `dextr-vos segment`."""

from pathlib import Path

import numpy as np
import torch

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.masks import write_labels
from dextr_vos.networks.lite_tracker import Memory
from dextr_vos.propagation.bidirectional import FramePrediction
from dextr_vos.propagation.clip_segmenter import OnFrame, tracker_of
from dextr_vos.propagation.models import network_size, object_probs
from dextr_vos.propagation.postprocess import finished_labels
from dextr_vos.propagation.tracker import MaskedFrame, small_frame
from dextr_vos.propagation.trained_network import TrainedNetwork
from dextr_vos.run_files import RunPaths
from dextr_vos.workspace import Workspace

_MARK = ".dextr-vos-segment"  # masks beside it may be made anew


def segment(
    clip: Clip,
    trained: TrainedNetwork,
    out: Path,
    *,
    device: torch.device,
    on_frame: OnFrame | None = None,
    stop_asked: StopAsked = never,
) -> None:
    """Apply a trained network to every frame of a clip.

    One that was accompanied by the lite network is applied alone, since no keyframe of this clip is known.

    Args:
        clip: any clip; its frames need not have the size the network was trained at.
        trained: see `load_network`.
        out: folder for `<frame>.png`; those of an earlier call are overwritten, others never.
        device: where to compute.
        on_frame: called with frames done and in all.
        stop_asked: asked between frames.

    Raises:
        InputError: `out` holds the frames themselves or masks of another origin, or a frame cannot be read.
        Interrupted: a stop was asked for; the masks made so far stay.
    """
    _check_segment_folder(out, clip)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).touch()
    trained.network.to(device)
    one_frame = _Following(trained, device) if trained.model.follows else _Alone(trained, device)
    sure = np.ones(len(trained.numbers), np.float32)
    for index, name in enumerate(clip.names):
        if stop_asked():
            raise Interrupted(
                f"stopped after {index} of {len(clip)} frames, their masks are in {out}; "
                "the same command starts over"
            )
        image = clip.read(index)
        followed = FramePrediction(index, image, one_frame(image), sure)
        labels = finished_labels(followed, trained.numbers, trained.record.min_component_share)
        write_labels(out / f"{name}.png", labels)
        if on_frame is not None:
            on_frame(index + 1, len(clip))


class _Alone:
    """Soft masks of frames by themselves."""

    def __init__(self, trained: TrainedNetwork, device: torch.device) -> None:
        self._trained, self._device = trained, device

    def __call__(self, image_rgb: ImageRgb) -> FloatArray:
        trained = self._trained
        longest = trained.record.longest_side
        return object_probs(trained.network, trained.model, longest, image_rgb, self._device)


class _Following:
    """Soft masks of frames in order; the first one is found by what the network remembers alone."""

    def __init__(self, trained: TrainedNetwork, device: torch.device) -> None:
        assert trained.memory is not None
        self._longest_side = trained.following.longest_side
        self._objects = len(trained.numbers)
        self._tracker = tracker_of(trained, device, trained.model.bf16)
        memory = Memory(trained.memory.keys.to(device), trained.memory.masks.to(device))
        self._memories = (memory,) * len(trained.following.zoom.margins)
        self._before: MaskedFrame | None = None

    def __call__(self, image_rgb: ImageRgb) -> FloatArray:
        size_hw = network_size((image_rgb.shape[0], image_rgb.shape[1]), self._longest_side)
        small = small_frame(image_rgb, size_hw)
        view = self._tracker.view(self._before, small, self._objects)
        probs = self._tracker.segment(view, [self._memories])
        self._before = MaskedFrame(small, probs)
        return probs


def _check_segment_folder(out: Path, clip: Clip) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; expected a folder")
    if out.resolve() == clip.path.resolve():
        raise InputError(
            f"--out {out} is the folder of the frames, which masks would overwrite; give another"
        )
    folder = out.resolve()
    run, workspace = RunPaths(folder.parent), Workspace(folder.parent)
    if (folder == run.masks and run.record.exists()) or (
        folder == workspace.keyframes and workspace.annotations.exists()
    ):
        raise InputError(
            f"--out {out} holds masks that a person annotated, which would be lost; give another"
        )
    there = next((name for name in clip.names if (out / f"{name}.png").exists()), None)
    if there is not None and not (out / _MARK).exists():
        raise InputError(
            f"--out {out} holds {there}.png, which dextr-vos segment did not make and would replace; "
            "give another folder"
        )
