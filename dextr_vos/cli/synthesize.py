"""`dextr-vos synthesize`: a rendered clip with exact masks and clicks, to try things on."""

from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import out_option, seed_option


@click.command(short_help="Render a clip with known masks to try things on.")
@out_option("Folder to fill, in the layout of DAVIS 2016.")
@click.option("--name", default="turntable", show_default=True, help="Name of the clip.")
@click.option(
    "--length", default=60, show_default=True, type=click.IntRange(2, 10000), help="Number of frames."
)
@click.option("--size", default="640x360", show_default=True, help="Width x height, in pixels.")
@seed_option("Seed of the textures and the outline.")
def command(out: Path, name: str, length: int, size: str, seed: int) -> None:
    """Render a textured object that turns, deforms, passes behind a pole and through changing light.

    DIR gets JPEGImages/480p/<name>, Annotations/480p/<name>, ImageSets/2016/val.txt and <name>-clicks.json
    with the object's four extreme points on the first and last frame and at a quarter of the clip.
    """
    import re

    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.datasets.synthetic import write_clip
    from dextr_vos.errors import InputError

    if not re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", size):
        raise InputError(f"--size {size}: expected width x height in pixels, like 640x360")
    if not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"--name {name}: expected letters, digits, - and _")
    width, height = (int(side) for side in size.split("x"))
    if min(width, height) < 32:
        raise InputError(f"--size {size}: expected at least 32 pixels a side")
    with progress_bars() as bar:
        write_clip(out, name, length, (height, width), seed, bar("rendering"))
    click.echo(f"clip {out / 'JPEGImages' / '480p' / name}, clicks {out / f'{name}-clicks.json'}")
