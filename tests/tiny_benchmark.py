"""A benchmark in seconds: DAVIS with two tiny clips, and a recipe of two steps."""

from pathlib import Path

from conftest import tiny_frame, tiny_mask
from PIL import Image

from dextr_vos.benchmark.cell import CellJob
from dextr_vos.benchmark.run import Grid, plan, run_benchmark
from dextr_vos.benchmark.settings import BenchmarkSettings
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.workers.jobs import JobOutcome

RECIPE = {"max_steps": 2, "correction_steps": 1, "batch": 1, "longest_side": 64}


def write_davis(root: Path, clips: dict[str, int]) -> Path:
    """DAVIS 2016 with clips of so many frames, at most six; each begins elsewhere."""
    for shift, (clip, frames) in enumerate(clips.items()):
        for index in range(frames):
            place = (index + shift) % 8
            for folder, suffix, picture in (
                ("JPEGImages", "jpg", tiny_frame(place)),
                ("Annotations", "png", tiny_mask(place) * 255),
            ):
                path = root / folder / "480p" / clip / f"{index:05d}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
    lists = root / "ImageSets" / "2016"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(f"{clip}\n" for clip in clips))
    return root


def tiny_settings(root: Path, **changes) -> BenchmarkSettings:
    values = {
        "davis_root": root,
        "year": 2016,
        "supervision": ("gt", "dextr"),
        "keyframes": (1, 2),
        "recipe": {"lite": RECIPE},
        "device": "cpu",
    }
    return BenchmarkSettings.model_validate(values | changes)


class Inline:
    """Workers that run each job in this process, when `wait` is called."""

    def __init__(self, device: str, stop_asked: StopAsked) -> None:
        self._device, self._stop_asked = device, stop_asked
        self._job: CellJob | None = None

    def free(self) -> int:
        return int(self._job is None)

    def start(self, job: CellJob) -> None:
        self._job = job

    def wait(self, timeout_s: float) -> list[JobOutcome]:
        job, self._job = self._job, None
        return [] if job is None else [job.attempt(self._device, self._stop_asked)]

    def stop(self) -> None:
        pass


def run_inline(settings: BenchmarkSettings, out: Path, stop_asked=never, jobs=None) -> Grid:
    """A benchmark in this process."""
    jobs = plan(settings, out) if jobs is None else jobs
    return run_benchmark(settings, out, jobs, Inline("cpu", stop_asked), stop_asked=stop_asked)
