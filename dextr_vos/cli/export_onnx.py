"""`dextr-vos export-onnx`: the lite networks for programs without PyTorch."""

import logging
import re
from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import PATH, out_option

# the shipped weights of each network, and the width and height of its input
_SHIPPED = {"clicks": "lite-clicks", "tracker": "lite-parent"}
_SIZES = {"clicks": "448x448", "tracker": "448x336"}


@click.command(short_help="Export a lite network as ONNX files.")
@click.argument("network", type=click.Choice(list(_SHIPPED)))
@out_option("Folder for the .onnx files.")
@click.option(
    "--weights",
    type=PATH,
    metavar="FILE",
    help="Checkpoint in place of the shipped one (.pth, .safetensors).",
)
@click.option("--size", help="Width x height of the input, in pixels; default: 448x448, of tracker 448x336.")
def command(network: str, out: Path, weights: Path | None, size: str | None) -> None:
    """Write the lite network for clicks, or the lite tracker, to .onnx files in DIR.

    clicks becomes clicks-encoder.onnx and clicks-decoder.onnx, tracker becomes tracker-encoder.onnx,
    tracker-memory.onnx and tracker-decoder.onnx; docs/onnx.md describes inputs and outputs. Each file is
    compared with PyTorch in ONNX Runtime before all are left there. Needs pip install "dextr-vos[onnx]".
    """
    from dextr_vos.errors import InputError
    from dextr_vos.folder_lock import scratch_beside
    from dextr_vos.networks.onnx_file import load_parts, write_onnx
    from dextr_vos.networks.shipped import shipped_weights

    given = size or _SIZES[network]
    if not re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", given):
        raise InputError(f"--size {given}: expected width x height in pixels, like {_SIZES[network]}")
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it warns of what it leaves as it is
    width, height = (int(side) for side in given.split("x"))
    parts = load_parts(network, weights or shipped_weights(_SHIPPED[network]), (height, width))
    files = [f"{part.name}.onnx" for part in parts]
    with scratch_beside(out / files[0]) as scratch:  # all parts of a network, or none
        differences = [write_onnx(part, scratch / file) for part, file in zip(parts, files, strict=True)]
        for file in files:
            (scratch / file).replace(out / file)
    for part, difference in zip(parts, differences, strict=True):
        click.echo(f"{out / part.name}.onnx, differs from PyTorch by {difference:.0e}")
