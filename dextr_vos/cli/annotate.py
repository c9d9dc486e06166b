"""`dextr-vos annotate`: clicks on keyframes to masks, on the page in the browser or from a file."""

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from dextr_vos.web.image_folder.service import FolderService
    from dextr_vos.web.segmenter_process import Engine

_OF_SIMULATE = ("frames", "jitter", "seed")
_OF_PAGE = ("host", "port", "no_open", "max_steps")


@click.command(short_help="Clicks on keyframes to masks, in the browser or from a file.")
@click.argument("clip", required=False, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="WORKSPACE", help="Workspace folder to fill.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Annotate the separate pictures that an anno_cfg.yml names, in place of CLIP and --out.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The page: address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The page: port; else the first that is free.")
@click.option("--no-open", is_flag=True, help="The page: print its address only.")
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    help="The page: steps of learning when it propagates, in place of the network's own limit.",
)
@click.option(
    "--clicks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="No page: JSON file with the clicks, see docs/formats.md.",
)
@click.option(
    "--simulate",
    type=click.Path(path_type=Path),
    metavar="MASK_DIR",
    help="No page: simulate the clicks from the masks <frame>.png in this folder.",
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
    clip: Path | None,
    out: Path | None,
    config: Path | None,
    host: str,
    port: int | None,
    no_open: bool,
    max_steps: int | None,
    clicks: Path | None,
    simulate: Path | None,
    frames: str,
    jitter: int,
    seed: int,
    engine: str | None,
    weights: Path | None,
    device: str,
) -> None:
    """Click on the objects of a few frames of CLIP, a folder of pictures or a video file.

    This opens a page in the browser: click, see the mask, correct it, propagate it to all frames. Every
    change is saved at once. With --clicks or --simulate masks are made without the page.

    The workspace holds annotations.json (every click) and keyframes/<frame>.png (indexed masks). Frames
    that are annotated there already and not clicked now stay as they are.
    """
    from dextr_vos.errors import ConfigError, InputError

    if clicks is not None and simulate is not None:
        raise InputError("give either --clicks FILE or --simulate MASK_DIR")
    if jitter < 0 or seed < 0:
        raise InputError(f"--jitter and --seed are 0 or more, got {jitter} and {seed}")
    by_file = clicks is not None or simulate is not None
    for option in _given(_OF_SIMULATE) if simulate is None else ():
        raise ConfigError(f"--{option} goes with --simulate MASK_DIR; leave it out without")
    for option in _given(_OF_PAGE) if by_file else ():
        raise ConfigError(
            f"--{option.replace('_', '-')} is of the page; leave it out with --clicks and --simulate"
        )
    if config is not None:
        if clip is not None or out is not None or by_file:
            raise ConfigError(f"{config} names the pictures and where masks go; give nothing beside --config")
        if max_steps is not None:
            raise ConfigError("--max-steps is for propagating a clip; leave it out with --config")
        _serve_folder(config, _engine(engine, weights, device), host, port, no_open)
        return
    if clip is None or out is None:
        raise InputError("give a CLIP and --out WORKSPACE, or --config anno_cfg.yml for separate pictures")
    if by_file:
        _make_masks(clip, out, clicks, simulate, (frames, jitter, seed), (engine, weights, device))
    else:
        _serve_clip(clip, out, _engine(engine, weights, device), (host, port, no_open), max_steps, device)


def _given(options: tuple[str, ...]) -> list[str]:
    """Those of the options that stand on the command line."""
    from click.core import ParameterSource

    context = click.get_current_context()
    assert context is not None
    return [name for name in options if context.get_parameter_source(name) is not ParameterSource.DEFAULT]


def _make_masks(
    clip: Path,
    out: Path,
    clicks: Path | None,
    simulate: Path | None,
    simulation: tuple[str, int, int],
    engine: tuple[str | None, Path | None, str],
) -> None:
    """Masks of clicks from a file, or simulated."""
    from dextr_vos.annotation.annotate import annotate
    from dextr_vos.annotation.clicks import check_annotations, read_clicks
    from dextr_vos.annotation.segmenter import make_segmenter
    from dextr_vos.annotation.simulate import simulate_clicks
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.clip import open_clip, parse_frames
    from dextr_vos.errors import InputError
    from dextr_vos.export.overlay import write_preview
    from dextr_vos.folder_lock import locked_if_exists
    from dextr_vos.workspace import Workspace

    opened = open_clip(clip)
    workspace = Workspace(out)
    workspace.check_clip(opened)  # before anything is written, a lock included
    if clicks is not None:
        annotations = read_clicks(clicks, opened)
    else:
        assert simulate is not None
        if simulate.resolve() == workspace.keyframes.resolve():
            raise InputError(f"the masks {simulate} are the keyframes of {out}, which would be replaced")
        frames, jitter, seed = simulation
        annotations = simulate_clicks(opened, simulate, parse_frames(frames, opened), jitter, seed)
        check_annotations(annotations, opened, simulate)
    segmenter = make_segmenter(*engine)
    with progress_bars() as bar, locked_if_exists(out):
        document = annotate(opened, annotations, segmenter, workspace, bar("annotating"))
    for name in annotations.keyframes:
        write_preview(workspace.preview(name), opened, workspace.keyframe(name), document.clicks_in(name))
    made = sum(len(keyframe.objects) for keyframe in annotations.keyframes.values())
    click.echo(
        f"{segmenter.name} made {made} masks in {len(annotations.keyframes)} frames; "
        f"keyframes now: {len(document.keyframes)}, in {workspace.keyframes}"
    )
    click.echo(f"to look at: {workspace.preview(next(iter(annotations.keyframes)))}")


def _engine(engine: str | None, weights: Path | None, device: str) -> "Engine":
    """The segmenter, in a process of its own, to be loaded while the page opens."""
    from dextr_vos.annotation.segmenter import ENGINES, make_segmenter
    from dextr_vos.web.segmenter_process import Engine, ProcessSegmenter

    if engine == "grabcut":
        made = make_segmenter(engine, weights, device)
        return Engine(made.name, lambda: made)
    if weights is not None or (engine or ENGINES[0]) != ENGINES[0]:
        loaded = ProcessSegmenter(engine, weights, device)  # what is wrong is told before the page opens
        return Engine(loaded.name, lambda: loaded)
    return Engine(ENGINES[0], lambda: ProcessSegmenter(engine, weights, device))


def _serve_clip(
    clip: Path,
    out: Path,
    engine: "Engine",
    served: tuple[str, int | None, bool],
    max_steps: int | None,
    device: str,
) -> None:
    """The page on a clip."""
    from dextr_vos.clip import open_clip
    from dextr_vos.folder_lock import FolderLock
    from dextr_vos.web.clip_service import ClipService, Propagation
    from dextr_vos.web.serve import serve
    from dextr_vos.workspace import Workspace

    opened = open_clip(clip)
    Workspace(out).check_clip(opened)
    lock = FolderLock(out)
    readonly = None if lock.try_acquire() else f"{lock.message}; here it can only be viewed"
    try:
        propagation = Propagation(max_steps=max_steps, device=device)
        service = ClipService(opened, Workspace(out), engine, propagation, readonly)
        if readonly is not None:
            click.echo(readonly, err=True)
        host, port, no_open = served
        serve(service, host=host, port=port, open_browser=not no_open, tell=_tell)
    finally:
        lock.release()


def _serve_folder(config: Path, engine: "Engine", host: str, port: int | None, no_open: bool) -> None:
    """The page on separate pictures."""
    from dextr_vos.folder_lock import FolderLock
    from dextr_vos.web.image_folder.service import WORK, FolderService
    from dextr_vos.web.image_folder.settings import read_folder_settings
    from dextr_vos.web.serve import serve

    settings = read_folder_settings(config)
    lock = FolderLock(settings.required.destination / WORK)
    readonly = None if lock.try_acquire() else f"{lock.message}; here it can only be viewed"
    try:
        service = FolderService(settings, engine, readonly)
        if readonly is not None:
            click.echo(readonly, err=True)
        elif settings.admin.reset_progress:
            _reset(service, settings.required.source)
        serve(service, host=host, port=port, open_browser=not no_open, tell=_tell)
    finally:
        lock.release()


def _reset(service: "FolderService", source: Path) -> None:
    """Forget all progress, if that is meant."""
    count = len(service.session.pictures.names)
    question = f"{source}: forget the progress of all {count} pictures, clicks and bf16-done masks included?"
    try:
        meant = click.confirm(question, default=False, err=True)
    except click.Abort:  # nobody is there to be asked
        meant = False
    if meant:
        service.reset()
        click.echo("All pictures are open again; masks that were written stay.")


def _tell(address: str) -> None:
    click.echo("The page is at this address, which opens it for you only. Ctrl-C ends it; nothing is lost.")
    click.echo(address)
