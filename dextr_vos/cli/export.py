"""`dextr-vos export`: masks made visible, as a video, a contact sheet and a page, or written as COCO."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from dextr_vos.cli.options import PATH, out_option

if TYPE_CHECKING:
    from dextr_vos.clip import Clip
    from dextr_vos.workspace import ResultMasks


@dataclass(frozen=True)
class _Options:
    """The command line."""

    clip: Path
    masks: Path | None
    out: Path | None
    video: Path | None
    sheet: Path | None
    coco: Path | None
    page: Path | None
    scores: Path | None
    opacity: float

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


@click.command(short_help="Export masks as an overlay video, a contact sheet, COCO or a page.")
@click.argument("clip", type=PATH)
@click.option(
    "--masks",
    type=PATH,
    metavar="RUN",
    help="A run, a workspace, or a folder of masks <frame>.png; not needed where CLIP is a workspace.",
)
@out_option(
    "Write all four: overlay.mp4, sheet.jpg, coco.json and page.html; by default exports/ of a workspace.",
    required=False,
)
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
    run. Options name the files to write; without any, --out gets all of them.
    """
    from dextr_vos.cli.workspaces import clip_and_workspace

    options = _Options(**given)
    clip, workspace = clip_and_workspace(options.clip)
    if options.out is not None:
        options = options.all_into(options.out)
    elif workspace is not None and not options.targets:
        options = options.all_into(workspace.path / "exports")
    _check(options)
    masks = _find_masks(options.masks or (None if workspace is None else workspace.path), clip)
    _export(clip, masks, options)


def _check(options: _Options) -> None:
    from dextr_vos.errors import InputError

    if not options.targets:
        raise InputError(
            "nothing to export: give --out DIR for everything, or --video FILE.mp4, --sheet FILE.jpg, "
            "--coco FILE.json or --page FILE.html"
        )
    if options.scores is not None and options.page is None:
        raise InputError("--scores is shown on the page only; give --page FILE.html, too")


def _find_masks(path: Path | None, clip: "Clip") -> "ResultMasks":
    """The masks of all frames."""
    from dextr_vos.cli.workspaces import run_folder
    from dextr_vos.errors import InputError
    from dextr_vos.workspace import ResultMasks

    if path is None:
        raise InputError("give --masks, a run or a folder of masks, or a workspace as CLIP")
    run_folder(path)  # of a workspace, a run must be there
    masks = ResultMasks.find(path)
    masks.require_all(clip)
    return masks


def _export(clip: "Clip", masks: "ResultMasks", options: _Options) -> None:
    import tempfile

    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.export.coco import write_coco
    from dextr_vos.export.overlay import refuse_overwriting, write_contact_sheet, write_overlay_video
    from dextr_vos.export.page import read_scores, write_page

    for target in options.targets.values():
        refuse_overwriting(target, clip, masks)
    scores = None if options.scores is None else read_scores(options.scores)
    with tempfile.TemporaryDirectory() as scratch, progress_bars() as bar:
        # the page embeds video and sheet, whether or not they are wanted as files
        if options.video is not None or options.page is not None:
            video = options.video or Path(scratch) / "overlay.mp4"
            write_overlay_video(video, clip, masks, options.opacity, bar("writing the video"))
        if options.sheet is not None:
            write_contact_sheet(options.sheet, clip, masks, options.opacity)
        if options.coco is not None:
            write_coco(options.coco, clip, masks, masks.object_names, bar("writing the COCO file"))
        if options.page is not None:
            sheet = Path(scratch) / "sheet.jpg"
            write_contact_sheet(sheet, clip, masks, options.opacity)
            write_page(options.page, clip, masks, video, sheet, scores)
    for name, file in options.targets.items():
        click.echo(f"{name} {file}")
