"""`dextr-vos annotate`: clicks on keyframes to masks."""

from pathlib import Path

import rich_click as click


@click.command(short_help="Clicks on keyframes to masks.")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="WORKSPACE",
    help="Workspace folder to fill.",
)
@click.option(
    "--clicks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="JSON file with the clicks, see docs/formats.md.",
)
@click.option(
    "--simulate",
    type=click.Path(path_type=Path),
    metavar="MASK_DIR",
    help="Simulate the clicks from the masks <frame>.png in this folder.",
)
@click.option(
    "--frames",
    default="first",
    show_default=True,
    help="With --simulate: frames by index, name, first, middle or last; like 0,24,49.",
)
@click.option("--jitter", default=0, show_default=True, help="With --simulate: pixels a click may be off.")
@click.option("--seed", default=0, show_default=True, help="With --simulate: of the jitter.")
@click.option(
    "--engine",
    type=click.Choice(["lite", "dextr", "grabcut"]),
    help="What makes masks of clicks: lite, or what the --weights are for.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Checkpoint of a DEXTR (.pth, .safetensors); lite has its own inside the package.",
)
@click.option(
    "--device", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda, cuda:1, mps."
)
def command(
    clip: Path,
    out: Path,
    clicks: Path | None,
    simulate: Path | None,
    frames: str,
    jitter: int,
    seed: int,
    engine: str | None,
    weights: Path | None,
    device: str,
) -> None:
    """Make masks of the clicked objects of a few frames of CLIP, a folder of pictures or a video file.

    The workspace holds annotations.json (every click) and keyframes/<frame>.png (indexed masks). Frames
    that are annotated there already and not clicked now stay as they are.
    """
    from click.core import ParameterSource

    from dextr_vos.annotation.annotate import annotate
    from dextr_vos.annotation.clicks import check_annotations, read_clicks
    from dextr_vos.annotation.engines import make_segmenter
    from dextr_vos.annotation.simulate import simulate_clicks
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.errors import ConfigError, InputError
    from dextr_vos.export import write_preview
    from dextr_vos.frames import open_clip, parse_frames
    from dextr_vos.workspace import Workspace

    if (clicks is None) == (simulate is None):
        raise InputError("give either --clicks FILE or --simulate MASK_DIR")
    if jitter < 0 or seed < 0:
        raise InputError(f"--jitter and --seed are 0 or more, got {jitter} and {seed}")
    context = click.get_current_context()
    assert context is not None
    for option in ("frames", "jitter", "seed"):
        given = context.get_parameter_source(option) is not ParameterSource.DEFAULT
        if given and simulate is None:
            raise ConfigError(f"--{option} goes with --simulate MASK_DIR; leave it out with --clicks")
    opened = open_clip(clip)
    workspace = Workspace(out)
    if clicks is not None:
        annotations = read_clicks(clicks, opened)
    else:
        assert simulate is not None
        if simulate.resolve() == workspace.keyframes.resolve():
            raise InputError(f"the masks {simulate} are the keyframes of {out}, which would be replaced")
        indices = parse_frames(frames, opened)
        annotations = simulate_clicks(opened, simulate, indices, jitter, seed)
        check_annotations(annotations, opened, simulate)
    segmenter = make_segmenter(engine, weights, device)
    with progress_bars() as bar:
        document = annotate(opened, annotations, segmenter, workspace, bar("annotating"))
    for name in annotations.keyframes:
        write_preview(workspace.preview(name), opened, workspace.keyframe(name), document.clicks_in(name))
    made = sum(len(keyframe.objects) for keyframe in annotations.keyframes.values())
    click.echo(
        f"{segmenter.name} made {made} masks in {len(annotations.keyframes)} frames; "
        f"keyframes now: {len(document.keyframes)}, in {workspace.keyframes}"
    )
    click.echo(f"to look at: {workspace.preview(next(iter(annotations.keyframes)))}")
