"""`dextr-vos download`: published weights and data sets."""

from pathlib import Path
from typing import Any

import rich_click as click

from dextr_vos.cli.options import out_option


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from dextr_vos.download.registry import FILES, SETS

    return [name for name in (*SETS, *FILES) if name.startswith(incomplete)]


@click.command(short_help="Download published weights and data sets.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=_complete)
@out_option("Folder to fill; default: data.", required=False)
@click.option(
    "--mirror", metavar="URL", default="", help="Take the files, by their names, from this address."
)
def command(names: tuple[str, ...], out: Path | None, mirror: str) -> None:
    """Download what NAME stands for: weights, davis2016, davis2017, voc, sbd, coco or grabcut.

    Or a single file of these, such as dextr_coco.pth or val2017.zip, or one of dextr_pascal-sbd.h5,
    OSVOS_parent_model.zip and vgg_mat.zip. Data sets get the folders that the other commands expect; what is
    there already is left alone. After Ctrl-C or a lost connection the same command resumes. A file is there
    only when it is whole: its checksum is compared where one is published.
    """
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.download.fetch import FetchOptions, fetch
    from dextr_vos.download.registry import published
    from dextr_vos.interrupt import interruptible

    files = published(names)
    with interruptible() as stop_asked, progress_bars() as bar:
        bars: dict[str, Any] = {}

        def show(title: str, done: int, total: int) -> None:
            bars.setdefault(title, bar(f"{title}, MB"))(done // 10**6, total // 10**6)

        options = FetchOptions(mirror, _check_weights, show, stop_asked)
        for file in files:
            final, was_there = fetch(file, out or Path("data"), options)
            click.echo(f"{final} is there already" if was_there else str(final))


def _check_weights(path: Path) -> None:
    """Refuse a checkpoint that cannot be read; of a Keras file, which `convert` reads, one that is cut."""
    if path.is_dir():
        return
    from dextr_vos.networks.checkpoints import read_state_dict
    from dextr_vos.networks.keras_file import check_whole, is_hdf5

    if is_hdf5(path):
        check_whole(path)
    else:
        read_state_dict(path)
