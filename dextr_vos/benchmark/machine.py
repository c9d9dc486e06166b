"""Description of the machine a cell ran on."""

import platform
import socket
from pathlib import Path

import cv2
import numpy
import torch
from pydantic import BaseModel, ConfigDict

from dextr_vos import __version__
from dextr_vos.workers.local import cores


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
