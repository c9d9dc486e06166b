"""`dextr-vos export`: masks made visible, as a video, a contact sheet and a page, or written as COCO."""

from pathlib import Path

import rich_click as click


@click.command(short_help="Masks to an overlay video, a contact sheet, COCO, a page.")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "--masks",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of a run, or of masks <frame>.png.",
)
@click.option("--video", type=click.Path(path_type=Path), help="Overlay video to write (.mp4, H.264).")
@click.option("--sheet", type=click.Path(path_type=Path), help="Contact sheet to write (.jpg or .png).")
@click.option("--coco", type=click.Path(path_type=Path), help="COCO file to write (.json), with run lengths.")
@click.option("--page", type=click.Path(path_type=Path), help="One HTML page with video, sheet and scores.")
@click.option("--scores", type=click.Path(path_type=Path), help="With --page: the --json of evaluate.")
@click.option(
    "--opacity", default=0.45, show_default=True, type=click.FloatRange(0, 1), help="Of the tint of objects."
)
def command(
    clip: Path,
    masks: Path,
    video: Path | None,
    sheet: Path | None,
    coco: Path | None,
    page: Path | None,
    scores: Path | None,
    opacity: float,
) -> None:
    """Lay the masks of CLIP over its frames, or write them down for other programs."""
    import tempfile

    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.clip import open_clip
    from dextr_vos.errors import InputError
    from dextr_vos.export.coco import write_coco
    from dextr_vos.export.overlay import refuse_overwriting, write_contact_sheet, write_overlay_video
    from dextr_vos.export.page import read_scores, write_page
    from dextr_vos.workspace import ResultMasks

    targets = {"video": video, "contact sheet": sheet, "COCO file": coco, "page": page}
    if not any(targets.values()):
        raise InputError(
            "nothing to export: give --video FILE.mp4, --sheet FILE.jpg, --coco FILE.json or --page FILE.html"
        )
    if scores is not None and page is None:
        raise InputError("--scores is shown on the page only; give --page FILE.html, too")
    opened = open_clip(clip)
    folder = ResultMasks.find(masks)
    folder.require_all(opened)
    for target in targets.values():
        if target is not None:
            refuse_overwriting(target, opened, folder)
    table = None if scores is None else read_scores(scores)
    with tempfile.TemporaryDirectory() as scratch, progress_bars() as bar:
        # the page embeds both, wanted as files or not
        if video is not None or page is not None:
            video_file = video or Path(scratch) / "overlay.mp4"
            write_overlay_video(video_file, opened, folder, opacity, bar("writing the video"))
        if sheet is not None:
            write_contact_sheet(sheet, opened, folder, opacity)
        if coco is not None:
            write_coco(coco, opened, folder, folder.object_names, bar("writing the COCO file"))
        if page is not None:
            sheet_file = Path(scratch) / "sheet.jpg"
            write_contact_sheet(sheet_file, opened, folder, opacity)
            write_page(page, opened, folder, video_file, sheet_file, table)
    for name, file in targets.items():
        if file is not None:
            click.echo(f"{name} {file}")
