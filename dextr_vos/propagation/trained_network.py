"""A fine-tuned network as a file, and applied to any clip: `dextr-vos segment`.

The file holds its weights, the record of what made it, and its memory of keyframes.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError, Interrupted, WeightsError
from dextr_vos.masks import write_labels
from dextr_vos.networks import checkpoints
from dextr_vos.networks.lite_tracker import MEMORY_PREFIX, Memory
from dextr_vos.propagation.keyframes import FramePrediction
from dextr_vos.propagation.model import Model
from dextr_vos.propagation.models import model_named
from dextr_vos.propagation.out_folder import refuse_folder_of_clips, refuse_workspace
from dextr_vos.propagation.postprocess import labels_of
from dextr_vos.propagation.run import network_record
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks, Recipe
from dextr_vos.run_files import RunPaths, RunRecord
from dextr_vos.workspace import Workspace, find_run

_MEMORY = tuple(field.name for field in fields(Memory))
_MARK = ".dextr-vos-segment"  # masks beside it may be replaced


@dataclass(frozen=True)
class TrainedNetwork:
    """A fine-tuned network.

    Attributes:
        network: in evaluation mode.
        record: of what made it.
        memory: of the keyframes, for a network that tracks; N = 1.
    """

    network: nn.Module
    record: RunRecord
    memory: Memory | None = None

    @property
    def model(self) -> Model:
        """The network's model."""
        return model_named(self.record.model)

    @property
    def recipe(self) -> Recipe:
        """How it was fine-tuned.

        Raises:
            WeightsError: the record was written by another version.
        """
        try:
            recipe: Recipe = TypeAdapter(Recipe).validate_python(self.record.settings)
        except ValidationError:
            raise WeightsError(
                "the settings of this network's record are of another version of dextr-vos; "
                "run dextr-vos propagate again"
            ) from None
        return recipe

    @property
    def object_ids(self) -> list[int]:
        """Object ids, one a channel."""
        return [entry.id for entry in self.record.objects]


def save_network(path: Path, trained: TrainedNetwork) -> None:
    """Save a fine-tuned network with its record and its memory, atomically."""
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in trained.network.state_dict().items()}
    if trained.memory is not None:
        state |= {MEMORY_PREFIX + name: tensor.half() for name, tensor in vars(trained.memory).items()}
    checkpoints.save(path, state, {"record": trained.record.model_dump_json()})


def load_network(path: Path) -> TrainedNetwork:
    """Read a fine-tuned network, in evaluation mode and on the CPU.

    Args:
        path: a run folder, its `network.safetensors`, or a workspace.

    Raises:
        InputError: there is none at that path.
        WeightsError: the file is broken, or was not saved by `dextr-vos propagate`.
    """
    file = path if path.is_file() else find_run(path).network
    if not file.is_file():
        raise InputError(
            f"there is no fine-tuned network {file}; give the --out folder of a finished dextr-vos propagate"
        )
    record = network_record(file)
    model = model_named(record.model)
    network = model.build(len(record.objects))
    state = checkpoints.read_state_dict(file)
    memory = None
    saved = [name for name in _MEMORY if MEMORY_PREFIX + name in state]
    if saved and saved != list(_MEMORY):
        raise WeightsError(
            f"{file} was saved by an earlier version of dextr-vos; run dextr-vos propagate again"
        )
    if saved:
        memory = Memory(*(state.pop(MEMORY_PREFIX + name).float() for name in _MEMORY))
    model.load_trained(network, state, file)
    return TrainedNetwork(network.eval(), record, memory)


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
        InputError: `out` holds the frames themselves, clips or masks of another origin, or is a workspace, or
            a frame cannot be read.
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
    refuse_workspace(out, clip, "folder for the masks")
    if not (out / _MARK).exists():
        refuse_folder_of_clips(out, clip, "folder for the masks")
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
