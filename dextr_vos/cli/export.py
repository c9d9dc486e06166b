"""`dextr-vos export`: masks made visible as video, contact sheet, page, or in other programs' formats."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from dextr_vos.cli.options import ALL_FORMATS, FILM_FORMATS, PATH, SHAPES, out_option

if TYPE_CHECKING:
    from dextr_vos.clip import Clip
    from dextr_vos.export.formats.labelled import LabelledClip
    from dextr_vos.workspace import ResultMasks, Workspace


@dataclass(frozen=True)
class _Options:
    """The command line."""

    clips: tuple[Path, ...]
    masks: Path | None
    out: Path | None
    format: str | None
    labels: Path | None
    shapes: str
    images: bool
    keyframes_only: bool
    frames: str | None
    video: Path | None
    sheet: Path | None
    coco: Path | None
    page: Path | None
    scores: Path | None
    opacity: float
    only: str | None
    feather: float
    fps: float | None
    captions: bool

    @property
    def targets(self) -> dict[str, Path]:
        """The files to write, by what they are."""
        named = {"video": self.video, "contact sheet": self.sheet, "COCO file": self.coco, "page": self.page}
        return {name: path for name, path in named.items() if path is not None}

    def all_into(self, folder: Path) -> "_Options":
        """The same, with a place in `folder` for each file that has none."""
        return replace(
            self,
            video=self.video or folder / "overlay.mp4",
            sheet=self.sheet or folder / "sheet.jpg",
            coco=self.coco or folder / "coco.json",
            page=self.page or folder / "page.html",
        )


@click.command(short_help="Export masks: video, contact sheet, page, and formats of other programs.")
@click.argument("clips", type=PATH, nargs=-1, required=True, metavar="CLIP...")
@click.option(
    "--masks",
    type=PATH,
    metavar="RUN",
    help="A run, a workspace, or a folder of masks <frame>.png; not needed where CLIP is a workspace.",
)
@out_option(
    "With --format: the file or folder to write. Otherwise: write all four, overlay.mp4, sheet.jpg, "
    "coco.json and page.html. By default exports/ of a workspace.",
    required=False,
)
@click.option(
    "--format",
    type=click.Choice(ALL_FORMATS, case_sensitive=False),
    help="Write masks in this format of another program, or film; see docs/exports.md.",
)
@click.option("--labels", type=PATH, metavar="FILE", help="With --format: categories, one per line.")
@click.option(
    "--shapes",
    type=click.Choice(SHAPES),
    default="mask",
    show_default=True,
    help="With --format coco, labelme or cvat: masks as they are, or their outlines.",
)
@click.option(
    "--images/--no-images",
    default=True,
    show_default=True,
    help="With --format: also write the frames, where the format has a place for them.",
)
@click.option("--keyframes-only", is_flag=True, help="With --format: only the annotated frames.")
@click.option("--only", metavar="LIST", help="Only these objects, by id or name, as 1,3; default: all.")
@click.option("--frames", metavar="LIST", help="Only these frames, as 10-20 or 00010-00020; default: all.")
@click.option(
    "--feather",
    type=click.FloatRange(0, 100),
    default=2.0,
    show_default=True,
    help="For film: width in pixels of the ramp across edges; 0 makes them hard.",
)
@click.option(
    "--fps",
    type=click.FloatRange(0.01, 1000),
    help="For videos of a folder of frames: frames per second; default: 24.",
)
@click.option("--captions", is_flag=True, help="For the overlay video: burn in the names of frames.")
@click.option("--video", type=PATH, metavar="FILE", help="Overlay video to write (.mp4, H.264).")
@click.option("--sheet", type=PATH, metavar="FILE", help="Contact sheet to write (.jpg or .png).")
@click.option("--coco", type=PATH, metavar="FILE", help="COCO file to write (.json), with run lengths.")
@click.option("--page", type=PATH, metavar="FILE", help="One HTML page with video, sheet and scores.")
@click.option("--scores", type=PATH, metavar="FILE", help="For the page: the --json of evaluate.")
@click.option(
    "--opacity",
    default=0.45,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Opacity of the objects' tint.",
)
def command(**given: Any) -> None:
    """Lay the masks of CLIP over its frames, or write them for other programs.

    CLIP is a folder of images, a video file, or a workspace, whose masks are those of its keyframes and its
    run. Options name the files to write; without any, --out gets all of them. With --format, several
    workspaces go into one file or folder.
    """
    from dextr_vos.cli.workspaces import clip_and_workspace, show_drafts

    options = _Options(**given)
    _check(options)
    opened = [clip_and_workspace(path) for path in options.clips]
    _write(opened, options)
    for path in options.clips if options.masks is None else [options.masks]:
        show_drafts(path)


def _write(opened: "list[tuple[Clip, Workspace | None]]", options: _Options) -> None:
    """Write what is asked for."""
    if options.format is not None:
        (_export_film if options.format in FILM_FORMATS else _export_format)(opened, options)
        return
    clip, workspace = opened[0]
    if options.out is not None:
        options = options.all_into(_as_folder(options.out))
    elif workspace is not None and not options.targets:
        options = options.all_into(_exports_of(workspace))
    path = _path_of_masks(clip, workspace, options)
    _check_targets(options)
    _export(clip, _find_masks(path, clip, options), options)


def _check(options: _Options) -> None:
    """Refuse options that contradict one another or would do nothing."""
    from dextr_vos.cli.options import given_options
    from dextr_vos.errors import InputError

    film = options.format in FILM_FORMATS
    if len(options.clips) > 1 and (options.format is None or film or options.masks is not None):
        raise InputError(
            "several clips go into one file or folder with a --format of masks, each given as a workspace"
        )
    given = given_options()
    of_masks, of_film = ["labels", "shapes", "images", "keyframes_only"], ["feather"]
    others, needed = [*of_masks, *of_film], "goes with --format NAME"
    if options.format is not None:
        others = ["video", "sheet", "coco", "page", "scores", "opacity", "captions"]
        others += of_masks if film else [*of_film, "fps"]
        needed = f"does not go with --format {options.format}"
    idle = [name for name in others if name in given]
    if idle:
        raise InputError(f"--{idle[0].replace('_', '-')} {needed}; leave it out")


def _check_targets(options: _Options) -> None:
    from dextr_vos.errors import InputError
    from dextr_vos.export.page import check_page_suffix

    if not options.targets:
        raise InputError(
            "nothing to export: give --out DIR for everything, or --video FILE.mp4, --sheet FILE.jpg, "
            "--coco FILE.json, --page FILE.html or --format NAME"
        )
    if options.scores is not None and options.page is None:
        raise InputError("--scores is shown on the page only; give --page FILE.html, too")
    if options.page is not None:
        check_page_suffix(options.page)


def _path_of_masks(clip: "Clip", workspace: "Workspace | None", options: _Options) -> Path:
    """The workspace, run or folder whose masks are exported."""
    from dextr_vos.cli.workspaces import did_you_mean
    from dextr_vos.errors import InputError

    if options.masks is not None:
        return options.masks
    if workspace is None:
        raise InputError(
            f"give --masks, a run or a folder of masks, or a workspace as CLIP{did_you_mean(clip.path)}"
        )
    return workspace.path


def _find_masks(path: Path, clip: "Clip", options: _Options) -> "ResultMasks":
    """The masks of the objects and frames that are asked for; all of the frames must have one."""
    from dextr_vos.cli.options import comma_list
    from dextr_vos.cli.workspaces import refuse_masks_of_another_clip, run_folder
    from dextr_vos.errors import InputError
    from dextr_vos.export.formats.labelled import labelled_clip, objects_called
    from dextr_vos.workspace import ResultMasks, Workspace

    if Workspace(path).exists and not options.keyframes_only:
        run_folder(path)  # of a workspace, a run must be there
    masks = ResultMasks.find(path)
    refuse_masks_of_another_clip(path, clip, options.clips[0] if options.masks is not None else path)
    if options.keyframes_only and not masks.keyframes:
        raise InputError(f"{path} has no annotated frames; leave out --keyframes-only")
    frames = _frames(clip, masks, options)
    masks.require_all(clip, frames)
    if options.only is None:
        return masks
    called = objects_called(comma_list(options.only), labelled_clip(clip, masks, frames))
    return replace(masks, only=called)


def _frames(clip: "Clip", masks: "ResultMasks", options: _Options) -> list[int]:
    """Indices of the frames that are asked for."""
    from dextr_vos.errors import InputError
    from dextr_vos.frame_lists import parse_frames

    frames = list(range(len(clip)))
    if options.frames is not None:
        frames = parse_frames(options.frames, clip.names, clip.path)
    if options.keyframes_only:
        frames = [index for index in frames if clip.names[index] in (masks.keyframes or ())]
        if not frames:
            raise InputError(f"none of the frames {options.frames} is annotated; leave out --keyframes-only")
    return frames


def _export_format(opened: "list[tuple[Clip, Workspace | None]]", options: _Options) -> None:
    """Write one format."""
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.export.formats.labelled import FormatOptions, labelled_clips, read_label_set
    from dextr_vos.export.formats.registry import FORMATS, write_format
    from dextr_vos.export.overlay import refuse_overwriting

    assert options.format is not None
    target = _target(FORMATS[options.format].suffix, opened, options)
    labels = None if options.labels is None else read_label_set(options.labels)
    clips = [_labelled(clip, own, options) for clip, own in opened]
    for each in clips:
        refuse_overwriting(target, each.clip, each.masks)
    how = FormatOptions("polygon" if options.shapes == "polygon" else "mask", options.images)
    with progress_bars() as bar:
        data, replaced = labelled_clips(clips, labels), options.out is None
        write_format(options.format, target, data, how, bar("writing"), replaced)
    click.echo(f"{FORMATS[options.format].title}: {target}")


def _export_film(opened: "list[tuple[Clip, Workspace | None]]", options: _Options) -> None:
    """Write a format for compositing."""
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.export.film import FILM_FORMATS as FILMS
    from dextr_vos.export.film import FilmOptions, write_film
    from dextr_vos.export.overlay import refuse_overwriting

    assert options.format is not None
    target = _target(FILMS[options.format].suffix, opened, options)
    clip = _labelled(*opened[0], options)
    refuse_overwriting(target, clip.clip, clip.masks)
    how = FilmOptions(options.feather, options.fps)
    with progress_bars() as bar:
        write_film(options.format, target, clip, how, bar("writing"), options.out is None)
    click.echo(f"{FILMS[options.format].title}: {target}")


def _target(suffix: str, opened: "list[tuple[Clip, Workspace | None]]", options: _Options) -> Path:
    """The file or folder to write: --out, a file in it, or one in the workspace's exports."""
    from dextr_vos.errors import InputError

    workspace = opened[0][1]
    if options.out is None:
        if workspace is None or len(opened) > 1:
            raise InputError(f"give --out, the {'file' if suffix else 'folder'} to write")
        return _exports_of(workspace) / f"{options.format}{suffix}"
    if suffix and options.out.suffix.lower() != suffix:
        return _as_folder(options.out, f", or a file that ends in {suffix}") / f"{options.format}{suffix}"
    return options.out


def _as_folder(out: Path, otherwise: str = "") -> Path:
    """A folder to write files into; it need not exist.

    Args:
        out: of `--out`.
        otherwise: what else would do, for the message.
    """
    from dextr_vos.errors import InputError
    from dextr_vos.export.formats.registry import refuse_file_name

    if out.is_file():
        raise InputError(f"--out {out} is a file; give a folder{otherwise}")
    refuse_file_name(out, otherwise)
    return out


def _exports_of(workspace: "Workspace") -> Path:
    """The folder of a workspace's exports, to be written to."""
    from dextr_vos.files import refuse_links

    refuse_links(workspace.exports)
    return workspace.exports


def _labelled(clip: "Clip", workspace: "Workspace | None", options: _Options) -> "LabelledClip":
    from dextr_vos.export.formats.labelled import labelled_clip

    masks = _find_masks(_path_of_masks(clip, workspace, options), clip, options)
    return labelled_clip(clip, masks, _frames(clip, masks, options))


def _export(clip: "Clip", masks: "ResultMasks", options: _Options) -> None:
    import tempfile

    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.export.formats.coco import write_coco
    from dextr_vos.export.formats.labelled import labelled_clip, labelled_clips
    from dextr_vos.export.overlay import (
        OverlayOptions,
        refuse_overwriting,
        write_contact_sheet,
        write_overlay_video,
    )
    from dextr_vos.export.page import read_scores, write_page
    from dextr_vos.export.video_file import consecutive

    for target in options.targets.values():
        refuse_overwriting(target, clip, masks)
    scores = None if options.scores is None else read_scores(options.scores)
    chosen = _frames(clip, masks, options)
    shown = options.video or options.sheet or options.page
    frames = consecutive(chosen) if shown else range(len(clip))
    part = clip[frames.start : frames.stop]
    with tempfile.TemporaryDirectory() as scratch, progress_bars() as bar:
        # the page embeds video and sheet, whether or not they are wanted as files
        if options.video is not None or options.page is not None:
            video = options.video or Path(scratch) / "overlay.mp4"
            how = OverlayOptions(options.opacity, captions=options.captions, fps=options.fps, frames=frames)
            write_overlay_video(video, clip, masks, how, bar("writing the video"))
        if options.sheet is not None:
            write_contact_sheet(options.sheet, part, masks, options.opacity)
        if options.coco is not None:
            data = labelled_clips([labelled_clip(clip, masks, chosen)])
            write_coco(options.coco, data, on_frame=bar("writing the COCO file"))
        if options.page is not None:
            sheet = Path(scratch) / "sheet.jpg"
            write_contact_sheet(sheet, part, masks, options.opacity)
            write_page(options.page, part, masks, video, sheet, scores)
    for name, file in options.targets.items():
        click.echo(f"{name}: {file}")
