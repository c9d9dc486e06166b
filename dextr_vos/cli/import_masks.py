"""`dextr-vos import`: masks of other programs as keyframes of a workspace."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from dextr_vos.cli.options import FRAME_MATCHES, MASK_FORMATS, PATH, out_option

if TYPE_CHECKING:
    from dextr_vos.export.formats.imported import ImportedFrame


@click.command(short_help="Make masks of other programs keyframes of a workspace.")
@click.argument("clip", type=PATH)
@click.argument("source", type=PATH, required=False, metavar="FILE")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(MASK_FORMATS, case_sensitive=False),
    help="Format of FILE, which may be a folder or a ZIP file; docs/exports.md says what of each is read. By "
    "default the one that FILE shows to have.",
)
@out_option(
    "Workspace to create or continue; by default work/NAME, after the name of CLIP.",
    "WORKSPACE",
    required=False,
)
@click.option(
    "--match",
    type=click.Choice(FRAME_MATCHES),
    default="name",
    show_default=True,
    help="Find the frames of CLIP by name, or by the last number in the name.",
)
@click.option(
    "--first",
    type=int,
    default=0,
    show_default=True,
    help="With --match number: the number of the first frame of CLIP.",
)
@click.option("--clip-name", metavar="NAME", help="The clip that is meant, where FILE holds several.")
def command(
    clip: Path,
    source: Path | None,
    format_name: str | None,
    out: Path | None,
    match: str,
    first: int,
    clip_name: str | None,
) -> None:
    """Make the masks in FILE keyframes of CLIP: a folder of images, a video file, or a workspace.

    Each annotated frame becomes a keyframe, also one in which no object is; names and colours of objects
    are kept where the format has them. Objects of the workspace that FILE does not name stay.
    """
    from dextr_vos.cli.workspaces import clip_and_workspace, default_workspace
    from dextr_vos.errors import InputError, counted
    from dextr_vos.export.formats.guess import guess_format
    from dextr_vos.export.importing import FrameMatch, import_masks
    from dextr_vos.export.packed import unpacked
    from dextr_vos.folder_lock import locked
    from dextr_vos.workspace import Workspace

    if source is None:
        raise InputError(f"give CLIP before FILE: dextr-vos import CLIP {clip}")
    if clip.is_file() and guess_format(clip) is not None:
        raise InputError(
            f"{clip} holds masks, not frames; give the clip first: "
            f"dextr-vos import CLIP {shlex.quote(str(clip))}"
        )
    if first and match != "number":
        raise InputError("--first goes with --match number; leave it out")
    opened, known = clip_and_workspace(clip)
    workspace = Workspace(out) if out is not None else known or default_workspace(opened.path)
    workspace.check_clip(opened)
    how = FrameMatch("number" if match == "number" else "name", first, clip_name)
    with unpacked(source) as files:
        frames = _frames(files, format_name, is_packed=files != source)
        with locked(workspace.path):
            workspace.sweep()
            made = import_masks(source, frames, opened, workspace, how)
    names = ", ".join(entry.name for entry in made.objects) or "no object"
    for sentence in made.warnings:
        click.echo(f"{source}: {sentence}", err=True)
    click.echo(f"{counted(len(made.frames), 'keyframe')} with {names}, in {workspace.keyframes}")


def _frames(source: Path, format_name: str | None, is_packed: bool) -> list["ImportedFrame"]:
    """The frames of a file or folder, or of what a ZIP file holds, in a format or in that which it shows.

    Raises:
        InputError: it is not there, or in another format.
    """
    from dextr_vos.errors import InputError
    from dextr_vos.export.formats.guess import guess_format, guess_inside
    from dextr_vos.export.formats.registry import FORMATS
    from dextr_vos.export.packed import frames_inside

    if not source.exists():
        kind = "masks" if format_name is None else FORMATS[format_name].title
        raise InputError(f"there is no {source}; expected a file or folder of {kind}")
    format_name = format_name or (guess_inside if is_packed else guess_format)(source)
    if format_name is None:
        raise InputError(f"{source} does not show its format; give --format, one of {', '.join(FORMATS)}")
    return frames_inside(source, format_name)[1] if is_packed else FORMATS[format_name].read(source)
