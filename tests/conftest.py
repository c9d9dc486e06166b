"""Fixtures shared by all tests: real clips where there are any, small made-up ones elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REAL_CLIPS = (
    "blackswan",
    "bmx-trees",
    "car-shadow",
    "dog",
    "drift-straight",
    "horsejump-high",
    "libby",
    "motocross-jump",
    "scooter-black",
)


# files that need the processor for a quarter of a minute or longer, or whose folder does
LONG = (
    "annotation/test_dextr.py",
    "benchmark/test_workers.py",
    "cli/test_export_onnx.py",
    "cli/test_propagate.py",
    "cli/test_propagate_project.py",
    "networks/test_onnx_file.py",
    "networks/test_osvos.py",
    "propagation/test_finetune.py",
    "propagation/test_propagate.py",
    "test_correction.py",
    "test_correction_stops.py",
    "test_pipeline.py",
    "test_pipeline_parts.py",
    "test_precision.py",
    "torture/test_campaign.py",
    "torture/test_loaders.py",
    "training/test_torchrun.py",
    "video/test_video_kinds.py",
    "web/browser",
    "web/test_export_options.py",
    "web/test_serve.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no worker is left alone with them; tests keep their order in a file."""

    def is_short(item: pytest.Item) -> bool:
        path = item.path.as_posix()
        return not any(path.endswith(f"/{name}") or f"/{name}/" in path for name in LONG)

    items.sort(key=is_short)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """No test cuts the power, and what `fsync` waits for may take many times as long as a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session")
def davis_root() -> Path:
    """Folder with real DAVIS 2016 clips, from the environment variable DAVIS_ROOT."""
    root = os.environ.get("DAVIS_ROOT")
    if not root or not Path(root).is_dir():
        pytest.skip("DAVIS_ROOT does not name a folder with DAVIS 2016; set it to run on real clips")
    return Path(root)


@pytest.fixture
def tiny_clip(tmp_path: Path) -> Path:
    """A folder of six 64×48 frames: a bright textured square moves over a dark textured ground."""
    return write_tiny_clip(tmp_path / "tiny")


def write_tiny_clip(folder: Path) -> Path:
    folder.mkdir()
    for index in range(6):
        Image.fromarray(tiny_frame(index)).save(folder / f"{index:05d}.png")
    return folder


def tiny_frame(index: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    ground = rng.integers(0, 70, (48, 64, 3), dtype=np.uint8)
    texture = rng.integers(150, 255, (20, 18, 3), dtype=np.uint8)
    left = 8 + 4 * index
    ground[14:34, left : left + 18] = texture
    return ground


def tiny_mask(index: int) -> np.ndarray:
    mask = np.zeros((48, 64), dtype=np.uint8)
    left = 8 + 4 * index
    mask[14:34, left : left + 18] = 1
    return mask


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: on pictures this small, threads that share busy cores wait for one another."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def narrow_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lite network made thin, see `narrow_networks`."""
    from narrow_networks import NARROW_LITE

    for change in NARROW_LITE:
        monkeypatch.setattr(*change)


@pytest.fixture
def narrow_dextr(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's DEXTR made thin, likewise."""
    from narrow_networks import NARROW_DEXTR

    for change in NARROW_DEXTR:
        monkeypatch.setattr(*change)


@pytest.fixture
def narrow_osvos(monkeypatch: pytest.MonkeyPatch) -> None:
    """OSVOS made thin, likewise."""
    from narrow_networks import NARROW_OSVOS

    for change in NARROW_OSVOS:
        monkeypatch.setattr(*change)


@pytest.fixture
def keyframes(tmp_path):
    """Masks of the tiny clip's frames 0 and 3, so 1 and 2 lie between them, 4 and 5 behind."""
    from tiny_run import write_keyframes

    return write_keyframes(tmp_path / "keyframes", 0, 3)


@pytest.fixture
def out(tmp_path):
    """Where a run goes; not there yet."""
    return tmp_path / "run"
