"""`dextr-vos segment`: the network of a run applied to a clip."""

from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import PATH, ClipCommand, device_option, out_option


@click.command(cls=ClipCommand, short_help="Apply a fine-tuned network to a clip.")
@click.argument("clip", type=PATH)
@click.option(
    "--run", required=True, type=PATH, metavar="RUN", help="The --out folder of propagate, or a workspace."
)
@out_option("Folder for <frame>.png.")
@device_option()
def command(clip: Path, run: Path, out: Path, device: str) -> None:
    """Segment every frame of CLIP with the network of RUN.

    CLIP may be another than the one the network was trained on, and of another size. Masks that an earlier
    call left in DIR are overwritten, others never.
    """
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.cli.workspaces import clip_and_workspace, run_folder
    from dextr_vos.errors import counted
    from dextr_vos.interrupt import interruptible
    from dextr_vos.propagation.settings import Callbacks
    from dextr_vos.propagation.trained_network import load_network, segment_clip
    from dextr_vos.runtime import pick_device

    opened, _ = clip_and_workspace(clip)
    trained = load_network(run if run.is_file() else run_folder(run))
    with interruptible() as stop_asked, progress_bars() as bar:
        callbacks = Callbacks(on_frame=bar("segmenting"), stop_asked=stop_asked)
        segment_clip(opened, trained, out, pick_device(device), callbacks)
    click.echo(f"{counted(len(opened), 'mask')} in {out}")
