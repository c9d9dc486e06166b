"""Description of the machine a cell ran on, and how many jobs fit on this one."""

import os
import platform
import socket
from pathlib import Path

import cv2
import numpy
import torch
from pydantic import BaseModel, ConfigDict

from dextr_vos import __version__

# gigabytes that a job takes at 480p, roughly
_JOB_GB = {"lite": 2.0, "paper": 6.0}


class Machine(BaseModel):
    """The machine that computed a result.

    Attributes:
        host: its name.
        processor: name, family and model.
        cores: that this process may use.
        device: what networks ran on, with the GPU's name.
        threads: of a job.
        precision: of networks.
        versions: of the packages that compute.
        code: digest of this package's code.
    """

    model_config = ConfigDict(frozen=True)
    host: str
    processor: str
    cores: int
    device: str
    threads: int
    precision: str
    versions: dict[str, str]
    code: str


def this_machine(device: torch.device, threads: int, precision: str, code: str) -> Machine:
    """The description of this machine.

    Args:
        device: where networks compute.
        threads: of a job.
        precision: in which networks compute.
        code: digest of this package's code.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return Machine(
        host=socket.gethostname(),
        processor=processor(),
        cores=cores(),
        device=f"{device.type} ({name})" if name else device.type,
        threads=threads,
        precision=precision,
        versions={
            "dextr-vos": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "opencv": cv2.__version__,
        },
        code=code,
    )


def processor() -> str:
    """The processor's name with its family and model, as far as the system knows them."""
    fields: dict[str, str] = {}
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    family = fields.get("cpu family")
    return f"{name} (family {family}, model {fields.get('model', '?')})" if family else name


def cores() -> int:
    """Cores this process may use; all of the machine where the system does not know."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs_that_fit(model: str, threads: int) -> int:
    """How many jobs of a model run on this machine's cores and in its free memory, at least one."""
    fit = cores() // threads
    free = _free_gb()
    if free is not None:
        fit = min(fit, int(free // _JOB_GB[model]))
    return max(1, fit)


def _free_gb() -> float | None:
    """Gigabytes of free memory; None where the system does not know."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    for line in info.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 2**20
    return None
