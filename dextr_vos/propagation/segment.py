"""A fine-tuned network applied to any clip: `dextr-vos segment`."""

from pathlib import Path

import numpy as np
import torch

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.masks import write_labels
from dextr_vos.propagation.postprocess import labels_of
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks
from dextr_vos.propagation.spans import FramePrediction
from dextr_vos.propagation.trained_network import TrainedNetwork
from dextr_vos.run_files import RunPaths
from dextr_vos.workspace import Workspace

_MARK = ".dextr-vos-segment"  # masks beside it may be replaced


def segment_clip(
    clip: Clip,
    trained: TrainedNetwork,
    out: Path,
    device: torch.device,
    callbacks: Callbacks = NO_CALLBACKS,
) -> None:
    """Apply a trained network to every frame of a clip.

    No keyframe of this clip is known: a network that tracks finds the objects by its memory of the clip
    it was fine-tuned on.

    Args:
        clip: any clip; its frames need not have the size the network was trained at.
        trained: see `load_network`.
        out: folder for `<frame>.png`; those of an earlier call are overwritten, others never.
        device: where to compute.
        callbacks: notified of frames done and in all, and asked between frames whether to stop.

    Raises:
        InputError: `out` holds the frames themselves or masks of another origin, or a frame cannot be read.
        Interrupted: a stop was asked for; the masks made so far stay.
    """
    _check_segment_folder(out, clip)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).touch()
    trained.network.to(device).to(memory_format=torch.channels_last)
    recipe, ids = trained.recipe, trained.object_ids
    soft_masks = trained.model.sequence_segmenter(
        trained.network, recipe, trained.memory, len(ids), clip.size_hw, device
    )
    certain = np.ones(len(ids), np.float32)
    for index, name in enumerate(clip.names):
        if callbacks.stop_asked():
            raise Interrupted(
                f"stopped after {index} of {len(clip)} frames, their masks are in {out}; "
                "the same command starts over"
            )
        image = clip.read(index)
        prediction = FramePrediction(index, image, soft_masks(image), certain)
        labels = labels_of(prediction, ids, trained.record.min_component_share)
        write_labels(out / f"{name}.png", labels)
        callbacks.on_frame(index + 1, len(clip))


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
