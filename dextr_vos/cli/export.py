"""`dextr-vos export`: masks made visible, as a video and as a contact sheet."""

from pathlib import Path

import rich_click as click


@click.command(short_help="Masks to an overlay video and a contact sheet.")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "--masks",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of a run, or of masks <frame>.png.",
)
@click.option("--video", type=click.Path(path_type=Path), help="Overlay video to write (.mp4, H.264).")
@click.option("--sheet", type=click.Path(path_type=Path), help="Contact sheet to write (.jpg or .png).")
@click.option("--opacity", default=0.45, show_default=True, type=click.FloatRange(0, 1))
def command(clip: Path, masks: Path, video: Path | None, sheet: Path | None, opacity: float) -> None:
    """Lay the masks of CLIP over its frames."""
    from dextr_vos.cli.progress import progress_bar
    from dextr_vos.errors import InputError
    from dextr_vos.export import MaskFolder, write_contact_sheet, write_overlay_video
    from dextr_vos.frames import open_clip

    if video is None and sheet is None:
        raise InputError("nothing to export: give --video FILE.mp4, --sheet FILE.jpg, or both")
    opened = open_clip(clip)
    folder = MaskFolder.find(masks, opened)
    if video is not None:
        with progress_bar("writing the video") as on_frame:
            write_overlay_video(video, opened, folder, opacity, on_frame)
        click.echo(f"video {video}")
    if sheet is not None:
        write_contact_sheet(sheet, opened, folder, opacity)
        click.echo(f"contact sheet {sheet}")
