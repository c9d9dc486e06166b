"""`dextr-vos annotate`: clicks on keyframes to masks, on the page in the browser or from a file."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from dextr_vos.cli.options import (
    PATH,
    PROPAGATION_MODELS,
    ClipCommand,
    click_model_options,
    device_option,
    given_options,
    out_option,
    seed_option,
)

if TYPE_CHECKING:
    from socket import socket

    from dextr_vos.annotation.annotations import Annotations
    from dextr_vos.clip import Clip
    from dextr_vos.web.image_folder.service import FolderService
    from dextr_vos.web.segmenter_process import SegmenterLoader
    from dextr_vos.web.serve import Site
    from dextr_vos.web.service import Propagation
    from dextr_vos.workspace import Workspace

_OF_SIMULATE = ("frames", "jitter", "seed")
_OF_PROPAGATION = ("max_steps", "propagation_model", "parent")
_OF_FILE = ("clicks", "simulate")
_OF_PAGE = ("host", "port", "no_open", *_OF_PROPAGATION)


@dataclass(frozen=True)
class _Options:
    """The command line."""

    clip: Path | None
    out: Path | None
    config: Path | None
    host: str
    port: int | None
    no_open: bool
    max_steps: int | None
    propagation_model: str
    parent: str | None
    clicks: Path | None
    simulate: Path | None
    frames: str
    jitter: int
    seed: int
    model: str | None
    weights: Path | None
    device: str


@click.command(
    cls=ClipCommand, short_help="Turn clicks on keyframes into masks, in the browser or from a file."
)
@click.argument("clip", required=False, type=PATH)
@out_option(
    "Workspace to create or continue; by default work/NAME, after the name of CLIP.",
    "WORKSPACE",
    required=False,
)
@click.option(
    "--config",
    type=PATH,
    metavar="FILE",
    help="Annotate the separate images that an anno_cfg.yml names, in place of CLIP and --out.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Page: address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Page: port; by default the first free one.")
@click.option("--no-open", is_flag=True, help="Page: print its address, open no browser.")
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    help="Page: maximum number of steps of its propagation.",
)
@click.option(
    "--propagation-model",
    type=click.Choice(PROPAGATION_MODELS),
    default="lite",
    show_default=True,
    help="Page: model of its propagation, as --model of propagate; the others need --parent.",
)
@click.option(
    "--parent",
    metavar="FILE|none",
    help="Page: checkpoint that its propagation starts from, as of propagate.",
)
@click.option(
    "--clicks", type=PATH, metavar="FILE", help="No page: JSON file with the clicks, see docs/formats.md."
)
@click.option(
    "--simulate",
    type=PATH,
    metavar="MASKS",
    help="No page: simulate the clicks from the masks <frame>.png in this folder.",
)
@click.option(
    "--frames",
    default="first",
    show_default=True,
    metavar="LIST",
    help="With --simulate: frames to click on, by index, name, first, middle or last, like 0,24,30-last.",
)
@click.option(
    "--jitter",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="With --simulate: maximum error of a click, in pixels.",
)
@seed_option("With --simulate: seed of the jitter.")
@click_model_options
@device_option()
def command(**given: Any) -> None:
    """Click the objects in a few frames of CLIP: a folder of images, a video, a workspace, or a project.

    This opens a page in the browser: click, see the mask, correct it, propagate it to all frames. Every
    change is saved at once. With --clicks or --simulate masks are made without the page.

    A project is a folder of clips: folders of images and videos. The page then lists them with their
    progress; the workspace of each is in --out, by default work/NAME, under the clip's name.

    The workspace holds annotations.json (every click) and keyframes/<frame>.png (indexed masks). Frames
    that are annotated there already and not clicked now stay as they are.
    """
    from dextr_vos.cli.workspaces import refuse_run

    options = _Options(**given)
    _check(options)
    if options.config is not None:
        _serve_folder(options, options.config)
        return
    assert options.clip is not None
    refuse_run(options.clip)
    clips = _clips_of_project(options.clip, _out_of_project(options.clip, options.out))
    if clips:
        _serve_project(clips, options)
        return
    clip, workspace = _open(options.clip, options.out)
    if options.clicks is not None or options.simulate is not None:
        _make_masks(clip, workspace, options)
    else:
        _serve_clip(clip, workspace, options)


def _check(options: _Options) -> None:
    """Refuse options that contradict one another or would do nothing."""
    from dextr_vos.errors import ConfigError, InputError

    given = given_options()
    if options.clicks is not None and options.simulate is not None:
        raise InputError("give either --clicks FILE or --simulate MASKS, not both")
    by_file = options.clicks is not None or options.simulate is not None
    for name in _OF_SIMULATE:
        if name in given and options.simulate is None:
            raise ConfigError(f"--{name} goes with --simulate MASKS; leave it out")
    for name in _OF_PAGE:
        if name in given and by_file:
            raise ConfigError(
                f"{_flag(name)} is for the page, which --clicks and --simulate do not open; leave it out"
            )
    beside = [_flag(name) for name in ("clip", "out", *_OF_PROPAGATION, *_OF_FILE) if name in given]
    if options.config is not None and beside:
        some = " and ".join(filter(None, [", ".join(beside[:-1]), beside[-1]]))
        raise ConfigError(f"{options.config} names the images and the folder of the masks; leave out {some}")
    if options.config is None and options.clip is None:
        raise InputError("give a CLIP or a workspace, or --config anno_cfg.yml for separate images")


def _flag(name: str) -> str:
    """How a parameter is called on the command line."""
    return "CLIP" if name == "clip" else f"--{name.replace('_', '-')}"


def _out_of_project(path: Path, out: Path | None) -> Path:
    """The folder of the workspaces of a project's clips."""
    from dextr_vos.project.clips import default_out

    return out or default_out(path)


def _clips_of_project(path: Path, out: Path) -> dict[str, Path]:
    """The clips of a folder of clips by name; none where `path` is a clip or a workspace."""
    from dextr_vos.project.clips import clips_in
    from dextr_vos.workspace import Workspace

    return clips_in(path, out) if path.is_dir() and not Workspace(path).exists else {}


def _open(path: Path, out: Path | None) -> tuple["Clip", "Workspace"]:
    """The clip and the workspace for it, checked before anything is written."""
    from dextr_vos.cli.workspaces import clip_and_workspace, default_workspace
    from dextr_vos.workspace import Workspace

    clip, workspace = clip_and_workspace(path)
    if out is not None:
        workspace = Workspace(out)
    elif workspace is None:
        workspace = default_workspace(clip.path)
    workspace.check_clip(clip)
    return clip, workspace


def _make_masks(clip: "Clip", workspace: "Workspace", options: _Options) -> None:
    """Masks of clicks from a file, or simulated."""
    from dextr_vos.annotation.annotate import annotate
    from dextr_vos.annotation.segmenter import load_segmenter
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.export.overlay import write_preview
    from dextr_vos.folder_lock import locked

    annotations = _clicks(clip, workspace, options)
    segmenter = load_segmenter(options.model, options.weights, options.device)
    with progress_bars() as bar, locked(workspace.path):
        workspace.sweep()
        document = annotate(clip, annotations, segmenter, workspace, bar("annotating"))
        for name in annotations.keyframes:
            write_preview(workspace.preview(name), clip, workspace.keyframe(name), document.clicks_in(name))
    made = sum(len(keyframe.objects) for keyframe in annotations.keyframes.values())
    click.echo(
        f"masks made by {segmenter.name}: {made}; "
        f"keyframes now: {len(workspace.keyframe_files())}, in {workspace.keyframes}"
    )
    click.echo(f"preview: {workspace.preview(next(iter(annotations.keyframes)))}")


def _clicks(clip: "Clip", workspace: "Workspace", options: _Options) -> "Annotations":
    """The clicks of a file, or simulated ones."""
    from dextr_vos.annotation.clicks import check_annotations, read_clicks
    from dextr_vos.annotation.simulate import simulate_clicks
    from dextr_vos.errors import InputError
    from dextr_vos.frame_lists import parse_frames

    if options.clicks is not None:
        return read_clicks(options.clicks, clip)
    masks = options.simulate
    assert masks is not None
    if masks.resolve() == workspace.keyframes.resolve():
        raise InputError(f"the masks {masks} are the keyframes of {workspace.path}, which would be replaced")
    frames = parse_frames(options.frames, clip.names, clip.path)
    annotations = simulate_clicks(clip, masks, frames, options.jitter, options.seed)
    check_annotations(annotations, clip, masks)
    return annotations


def _segmenter_loader(options: _Options) -> "SegmenterLoader":
    """The segmenter, in a process of its own, which is loaded while the page opens."""
    from dextr_vos.annotation.segmenter import MODELS, load_segmenter
    from dextr_vos.web.segmenter_process import ProcessSegmenter, SegmenterLoader

    model, weights, device = options.model, options.weights, options.device
    if model == "grabcut":
        made = load_segmenter(model, weights, device)
        return SegmenterLoader(made.name, lambda: made)
    if weights is not None or (model or MODELS[0]) != MODELS[0]:
        loaded = ProcessSegmenter(model, weights, device)  # an error is reported before the page opens
        return SegmenterLoader(loaded.name, lambda: loaded, loaded.corrects)
    # the first model takes clicks of all kinds
    return SegmenterLoader(MODELS[0], lambda: ProcessSegmenter(model, weights, device), corrects=True)


def _propagation(options: _Options) -> "Propagation":
    """How the page propagates; refused before the page opens, where a checkpoint is missing."""
    from dextr_vos.errors import InputError
    from dextr_vos.pipeline import PropagationOptions
    from dextr_vos.web.service import Propagation

    chosen = PropagationOptions(options.propagation_model, options.parent, max_steps=options.max_steps)
    parent = chosen.chosen_model().parent(chosen.parent)
    if parent is not None and not parent.is_file():
        raise InputError(f"there is no checkpoint {parent}")
    return Propagation(
        options.propagation_model, parent=options.parent, max_steps=options.max_steps, device=options.device
    )


def _serve_clip(clip: "Clip", workspace: "Workspace", options: _Options) -> None:
    """The page on a clip."""
    from dextr_vos.folder_lock import FolderLock
    from dextr_vos.web.app import ServiceSite
    from dextr_vos.web.service import ClipService

    propagation, loader = _propagation(options), _segmenter_loader(options)
    with _listening(options) as listening:
        lock = FolderLock(workspace.path)
        readonly = None if lock.try_acquire() else f"{lock.message}; here it can only be viewed"
        try:
            service = ClipService(clip, workspace, loader, propagation, readonly)
            service.session.access.lock = lock if readonly is None else None
            _serve(ServiceSite(service), options, readonly, listening)
        finally:
            lock.release()


def _serve_project(clips: dict[str, Path], options: _Options) -> None:
    """The list of a project's clips, from which each opens."""
    from dextr_vos.errors import ConfigError, counted
    from dextr_vos.web.project import ClipOpener, Project
    from dextr_vos.web.project_app import ProjectSite

    assert options.clip is not None
    if options.clicks is not None or options.simulate is not None:
        flag, some = "--clicks" if options.clicks is not None else "--simulate", list(clips.values())[:3]
        raise ConfigError(
            f"{options.clip} holds {counted(len(clips), 'clip')}; with {flag} give "
            f"{'that' if len(clips) == 1 else 'one of them'}: "
            f"{', '.join(map(str, some))}{' …' if len(clips) > 3 else ''}"
        )
    out = _out_of_project(options.clip, options.out)
    propagation = _propagation(options)
    project = Project(clips, out, ClipOpener(_segmenter_loader(options), propagation))
    with _listening(options) as listening:
        _serve(ProjectSite(project), options, None, listening)


def _serve_folder(options: _Options, config: Path) -> None:
    """The page on separate images."""
    from dextr_vos.folder_lock import FolderLock
    from dextr_vos.web.app import ServiceSite
    from dextr_vos.web.image_folder.files import read_folder_settings
    from dextr_vos.web.image_folder.service import WORK, FolderService

    loader = _segmenter_loader(options)
    settings = read_folder_settings(config)
    with _listening(options) as listening:
        lock = FolderLock(settings.required.destination / WORK)
        readonly = None if lock.try_acquire() else f"{lock.message}; here it can only be viewed"
        try:
            service = FolderService(settings, loader, readonly)
            service.session.access.lock = lock if readonly is None else None
            if readonly is None and settings.admin.reset_progress:
                _reset(service, settings.required.source)
            _serve(ServiceSite(service), options, readonly, listening)
        finally:
            lock.release()


def _token() -> str | None:
    return os.environ.get("DEXTR_VOS_TOKEN")  # not an option: everybody can read a command line


def _listening(options: _Options) -> "socket":
    """The port of the page, and a check of its token, before a workspace is made."""
    from dextr_vos.web.auth import check_token
    from dextr_vos.web.serve import listen

    if (token := _token()) is not None:
        check_token(token)
    return listen(options.host, options.port)


def _serve(site: "Site", options: _Options, readonly: str | None, listening: "socket") -> None:
    from dextr_vos.web.serve import serve

    if readonly is not None:
        click.echo(readonly, err=True)
    serve(
        site,
        host=options.host,
        open_browser=not options.no_open,
        on_address=lambda address: _show_address(address, options.host),
        token=_token(),
        listening=listening,
    )


def _reset(service: "FolderService", source: Path) -> None:
    """Forget all progress, if the person confirms."""
    count = len(service.session.images.names)
    question = f"{source}: forget the progress of all {count} images, clicks and unfinished masks included?"
    try:
        confirmed = click.confirm(question, default=False, err=True)
    except click.Abort:  # nobody is there to be asked
        confirmed = False
    if confirmed:
        service.reset()
        click.echo("All images are open again; finished masks stay.")


def _show_address(address: str, host: str) -> None:
    from dextr_vos.web.serve import is_loopback

    if is_loopback(host):
        who = "Open this address (it contains a password for this session)."
    else:
        who = (
            "The page is open to everybody who learns this address; what is sent is not encrypted, "
            "so use it in a network that you trust."
        )
    click.echo(f"{who} Ctrl-C ends the page; nothing is lost.")
    click.echo(address)
