"""`dextr-vos train-dextr`: train the network that turns clicks into a mask."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from dextr_vos.cli.options import (
    config_option,
    out_option,
    settings_argument,
    training_device_option,
    with_out,
)

if TYPE_CHECKING:
    from dextr_vos.training.loop import TrainingResult


@click.command(short_help="Train the network that turns clicks into a mask.")
@config_option("Settings of the training, see configs/.")
@out_option("Folder of the training, in place of out in FILE.", required=False)
@training_device_option()
@settings_argument()
def command(config: Path, out: Path | None, device: str, settings: tuple[str, ...]) -> None:
    """Train a DEXTR with the settings of FILE, changed by KEY=VALUE.

    After Ctrl-C, or when the process was killed, the same command resumes from the last checkpoint. Several
    GPUs: torchrun --nproc-per-node 4 -m dextr_vos train-dextr …
    """
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.config import load_settings
    from dextr_vos.interrupt import interruptible
    from dextr_vos.runtime import pick_device
    from dextr_vos.training.dextr import train_dextr
    from dextr_vos.training.dextr_settings import DextrSettings

    loaded = load_settings(DextrSettings, config, with_out(settings, out))
    chosen = None if device == "auto" else pick_device(device)
    with interruptible() as stop_asked, progress_bars() as bar:
        result = train_dextr(
            loaded, config.parent, chosen, bar("training"), stop_asked, bar("looking for hard examples")
        )
    print_result(loaded.out, result)


def print_result(out: Path, result: "TrainingResult", start: Path | None = None, alpha: float = 1.0) -> None:
    """Print how a training ended, and write its weights in fp16; in the main process alone.

    Args:
        out: folder of the training.
        result: what the training returned.
        start: see `write_fp16`.
        alpha: likewise.
    """
    from dextr_vos.networks.shipped import write_fp16
    from dextr_vos.training.processes import is_main_process

    if not is_main_process():
        return
    scores = "".join(f"; {name} {value:.3f}" for name, value in result.scores.items())
    click.echo(f"trained {result.steps} steps ({result.seconds:.0f} s), loss {result.loss:.3f}{scores}")
    pace = _pace(out / "log.jsonl")
    if pace is not None:
        click.echo(
            f"{pace[0]:.1f} samples a second, {100 * pace[1]:.0f} % of the time spent waiting for them"
        )
    weights = [path for name in ("best", "last") if (path := out / f"{name}.safetensors").exists()]
    click.echo(f"weights in {' and '.join(map(str, weights))}")
    small = out / "last-fp16.safetensors"
    checksum = write_fp16(out / "last.safetensors", small, start, alpha)
    what = "last" if alpha == 1 else f"{alpha:g} of the way from {start} to last,"
    click.echo(f"{what} in fp16: {small}, SHA-256 {checksum}")


def _pace(path: Path) -> tuple[float, float] | None:
    """Samples a second and the share of time spent waiting for them, over a log; None for a short one."""
    from dextr_vos.files import read_text

    lines = map(json.loads, read_text(path).splitlines()) if path.exists() else ()
    # every line is of as many samples as the others, but for the first after a stop
    paces = [
        (1 / line["samples_per_second"], line["waiting_for_samples"])
        for line in lines
        if line.get("samples_per_second")
    ]
    if not paces:
        return None
    seconds = sum(pace for pace, _ in paces)
    return len(paces) / seconds, sum(pace * waiting for pace, waiting in paces) / seconds
