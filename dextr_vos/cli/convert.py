"""`dextr-vos convert`: weights that others published as safetensors."""

from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import PATH


@click.command(short_help="Convert published weights to safetensors.")
@click.argument("src", type=PATH)
@click.argument("dst", type=PATH)
def command(src: Path, dst: Path) -> None:
    """Write the weights in SRC to DST, a .safetensors file that --weights and --parent take.

    SRC is DEXTR as Keras .h5 or PyTorch .pth, or OSVOS as .pth or Caffe's .caffemodel; or VGG-16, which OSVOS
    starts from, as .caffemodel or vgg_caffe.mat. A .h5 and a .mat of MATLAB 7.3 need pip install
    "dextr-vos[keras]", a .caffemodel needs pip install "dextr-vos[caffe]".
    """
    from dextr_vos.networks.convert import DEXTR, convert

    name = convert(src, dst)
    use = "annotate CLIP --weights" if name == DEXTR else "propagate CLIP --model paper --parent"
    click.echo(f"{name} in {dst}; use: dextr-vos {use} {dst}")
