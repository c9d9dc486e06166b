"""`dextr-vos train-dextr`: train the network that turns clicks into a mask."""

import json
from pathlib import Path

import rich_click as click


@click.command(short_help="Train the network that turns clicks into a mask.")
@click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings of the training, see configs/.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Where to compute: auto, cpu, cuda (torchrun: all of them).",
)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
def command(config: Path, device: str, settings: tuple[str, ...]) -> None:
    """Train a DEXTR as FILE says, with KEY=VALUE in place of what it says.

    After Ctrl-C, or when the process was killed, the same command goes on from the last checkpoint. Several
    GPUs: torchrun --nproc-per-node 4 -m dextr_vos train-dextr …
    """
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.config import load_settings
    from dextr_vos.interrupt import interruptible
    from dextr_vos.networks.shipped import write_half
    from dextr_vos.runtime import pick_device
    from dextr_vos.training.dextr import train_dextr
    from dextr_vos.training.dextr_data import is_main_process
    from dextr_vos.training.dextr_settings import DextrSettings

    loaded = load_settings(DextrSettings, config, settings)
    chosen = None if device == "auto" else pick_device(device)
    with interruptible() as stop_asked, progress_bars() as bar:
        outcome = train_dextr(
            loaded, config.parent, chosen, bar("training"), stop_asked, bar("looking for hard examples")
        )
    if not is_main_process():
        return
    told = "".join(f"; {name} {value:.3f}" for name, value in outcome.scores.items())
    click.echo(f"trained {outcome.steps} steps ({outcome.seconds:.0f} s), loss {outcome.loss:.3f}{told}")
    pace = _pace(loaded.out / "log.jsonl")
    if pace is not None:
        click.echo(
            f"{pace[0]:.1f} samples a second, {100 * pace[1]:.0f} % of the time spent waiting for them"
        )
    weights = [path for name in ("best", "last") if (path := loaded.out / f"{name}.safetensors").exists()]
    click.echo(f"weights in {' and '.join(map(str, weights))}")
    half = loaded.out / "half.safetensors"
    checksum = write_half(loaded.out / "last.safetensors", half)
    click.echo(f"last in half precision: {half}, SHA-256 {checksum}")


def _pace(path: Path) -> tuple[float, float] | None:
    """Samples a second and the share of time spent waiting for them, over a log; None for a short one."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
    # stretches of a log are of as many samples as one another, but for the first after a stop
    paces = [
        (1 / line["samples_per_second"], line["waiting_for_samples"])
        for line in lines
        if line.get("samples_per_second")
    ]
    if not paces:
        return None
    seconds = sum(pace for pace, _ in paces)
    return len(paces) / seconds, sum(pace * waiting for pace, waiting in paces) / seconds
