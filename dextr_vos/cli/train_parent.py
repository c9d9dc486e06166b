"""`dextr-vos train-parent`: train the network that fine-tuning on a clip starts from."""

from pathlib import Path

import rich_click as click


@click.command(short_help="Train the network that fine-tuning starts from.")
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
    """Train a parent network as FILE says, with KEY=VALUE in place of what it says.

    After Ctrl-C, or when the process was killed, the same command goes on from the last checkpoint. Several
    GPUs: torchrun --nproc-per-node 4 -m dextr_vos train-parent …
    """
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.config import load_settings
    from dextr_vos.interrupt import interruptible
    from dextr_vos.networks.shipped import write_half
    from dextr_vos.runtime import pick_device
    from dextr_vos.training.dextr_data import is_main_process
    from dextr_vos.training.parent import train_parent
    from dextr_vos.training.parent_settings import ParentSettings

    loaded = load_settings(ParentSettings, config, settings)
    chosen = None if device == "auto" else pick_device(device)
    with interruptible() as stop_asked, progress_bars() as bar:
        outcome = train_parent(loaded, config.parent, chosen, bar("training"), stop_asked)
    if not is_main_process():
        return
    scores = "".join(f"; {name} {value:.3f}" for name, value in outcome.scores.items())
    click.echo(f"trained {outcome.steps} steps ({outcome.seconds:.0f} s), loss {outcome.loss:.3f}{scores}")
    half = loaded.out / "half.safetensors"
    checksum = write_half(loaded.out / "last.safetensors", half)
    click.echo(f"weights in {loaded.out / 'last.safetensors'}; in half precision: {half}, SHA-256 {checksum}")
