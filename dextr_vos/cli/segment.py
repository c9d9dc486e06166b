"""`dextr-vos segment`: a saved network applied to a clip."""

from pathlib import Path

import rich_click as click


@click.command(short_help="Apply a fine-tuned network to a clip.")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "--network",
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Folder of a finished train-propagation.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder for <frame>.png."
)
@click.option(
    "--device", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda, cuda:1, mps."
)
def command(clip: Path, network: Path, out: Path, device: str) -> None:
    """Segment every frame of CLIP with the network of a run.

    CLIP may be another than the one the network was trained on, and of another size. Masks that an earlier
    call left in DIR are overwritten, others never.
    """
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.clip import open_clip
    from dextr_vos.interrupt import interruptible
    from dextr_vos.propagation.segment import segment
    from dextr_vos.propagation.trained_network import load_network
    from dextr_vos.runtime import pick_device

    opened = open_clip(clip)
    trained = load_network(network)
    with interruptible() as stop_asked, progress_bars() as bar:
        segment(
            opened,
            trained,
            out,
            device=pick_device(device),
            on_frame=bar("segmenting"),
            stop_asked=stop_asked,
        )
    click.echo(f"{len(opened)} masks in {out}")
