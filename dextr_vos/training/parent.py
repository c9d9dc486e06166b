"""Training the parent of the propagation networks: what an object is, before it is told which one.

OSVOS (Caelles et al., CVPR 2017) for the paper model: whole frames of DAVIS, all side losses, their weight
falling to nothing. The lite model learns to follow one object through two frames made of still pictures.
"""

from pathlib import Path

import torch

from dextr_vos.config import as_yaml
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.training.checkpoint_folder import TrainingFolder
from dextr_vos.training.loop import OnStep, TrainingResult, train
from dextr_vos.training.osvos_parent import OsvosTask
from dextr_vos.training.parent_settings import ParentSettings
from dextr_vos.training.task import Task
from dextr_vos.training.tracker_parent import TrackerTask


def train_parent(
    settings: ParentSettings,
    beside: Path = Path(),
    device: torch.device | None = None,
    on_step: OnStep | None = None,
    stop_asked: StopAsked = never,
) -> TrainingResult:
    """Train a parent network, or go on with a training that was stopped.

    Args:
        settings: everything about it.
        beside: folder that paths inside the settings' file are relative to.
        device: see `loop.train`.
        on_step: likewise.
        stop_asked: likewise.

    Raises:
        InputError: a data set is missing, or the loss is no number any more.
        WeightsError: the start does not fit.
        Interrupted: see `loop.train`.
    """
    task: Task = (TrackerTask if settings.network == "lite" else OsvosTask)(settings, beside)
    folder = TrainingFolder(settings.out, as_yaml(settings), {"network": f"{settings.network}-parent"})
    return train(task, settings.loop, folder, settings.seed, device, on_step, stop_asked)
