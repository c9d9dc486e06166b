"""The clips of a project's folder, and the names by which they and their workspaces are called."""

import logging
from pathlib import Path

from dextr_vos.clip import is_clip_folder
from dextr_vos.errors import InputError
from dextr_vos.files import natural_key
from dextr_vos.images import image_files, warn_once
from dextr_vos.masks import looks_like_mask
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

_SUFFIXES = "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv ts webm wmv y4m"
VIDEOS = frozenset(f".{suffix}" for suffix in _SUFFIXES.split(" "))


def clips_in(folder: Path, out: Path) -> dict[str, Path]:
    """The clips of a folder by name, in natural order: folders of images, and video files.

    Workspaces are none, whatever images lie in them, and neither are folders of masks.
    A folder that holds images itself is a clip and no project, unless there are as many videos beside
    them; it has none. A clip for which there is a workspace is called like it, whatever has been put
    beside it since. Otherwise a video that is called like another clip keeps its suffix in its name.

    Args:
        folder: of the clips.
        out: of their workspaces; it need not exist.
    """
    entries = sorted(
        (entry for entry in folder.iterdir() if not entry.name.startswith(".")),
        key=lambda entry: natural_key(entry.name),
    )
    videos = [entry for entry in entries if entry.suffix.lower() in VIDEOS and entry.is_file()]
    if is_clip_folder(folder) and (not videos or len(image_files(folder)) > len(videos)):
        return {}
    folders = [entry for entry in entries if entry.is_dir() and not _is_workspace(entry) and _is_clip(entry)]
    found = [*_without_masks(folder, folders), *videos]
    names = _workspaces_of(found, out)
    new = [entry for entry in found if entry not in names]
    stems = [_stem(entry).casefold() for entry in found]
    taken = {name.casefold() for name in names.values()}
    for entry in new:
        name = _stem(entry)
        if stems.count(name.casefold()) > 1 and entry.is_file():
            name = entry.name
        names[entry] = _free(name, taken)
        taken.add(names[entry].casefold())
    named = {name: entry for entry, name in names.items()}
    return dict(sorted(named.items(), key=lambda item: natural_key(item[0])))


def default_out(folder: Path) -> Path:
    """Where the workspaces of a folder of clips are unless it is said: `work/NAME` in the current folder."""
    return Path("work") / folder.resolve().name


def workspaces_in(folder: Path, out: Path | None = None) -> dict[str, tuple[Path | None, Workspace]]:
    """The clips of a project and their workspaces by name, in natural order; a workspace need not exist.

    Args:
        folder: of the clips, or of their workspaces, which know where their clips are: None stands for that.
        out: of the workspaces; None for `default_out`, or for `folder` where they are in it.

    Raises:
        InputError: there are neither clips nor workspaces, or both, or `folder` is a workspace itself.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give a folder of clips, or of their workspaces")
    if Workspace(folder).exists:
        raise InputError(f"{folder} is the workspace of one clip; give the folder that it is in")
    entries = sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name))
    there = {entry.name: (None, Workspace(entry)) for entry in entries if _is_workspace(entry)}
    chosen = default_out(folder) if out is None else out
    clips = clips_in(folder, chosen)
    if there and out is None:
        if clips:
            raise InputError(
                f"{folder} has clips in it, like {next(iter(clips))}, and workspaces, like "
                f"{next(iter(there))}; give --out with the folder of the clips' workspaces, or move these out"
            )
        return dict(there)
    if not clips:
        raise InputError(f"{folder} has no clips in it; give a folder of clips: folders of images, or videos")
    return {name: (clip, Workspace(chosen / name)) for name, clip in clips.items()}


def is_project(folder: Path) -> bool:
    """Whether a folder is one of clips, or of workspaces."""
    try:
        return bool(workspaces_in(folder))
    except (InputError, OSError):
        return False


def _is_workspace(folder: Path) -> bool:
    try:
        return Workspace(folder).exists
    except OSError:  # `lost+found`, say, which `_is_clip` reports
        return False


def _stem(entry: Path) -> str:
    return entry.name if entry.is_dir() else entry.stem


def _free(name: str, taken: set[str]) -> str:
    """A name that is not taken: in some file systems, upper and lower case are one."""
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _is_clip(folder: Path) -> bool:
    try:
        return is_clip_folder(folder)
    except OSError as error:
        log.warning("%s is left out: %s", folder, error.strerror or error)
        return False


def _without_masks(project: Path, folders: list[Path]) -> list[Path]:
    """Folders of images without those of masks, which cannot be opened as clips."""
    masks = [folder for folder in folders if _holds_masks(folder)]
    if masks:
        some = ", ".join(folder.name for folder in masks[:5]) + (" …" if len(masks) > 5 else "")
        warn_once(f"left out of {project}: {some} ({len(masks)} in all); folders of masks are no clips")
    return [folder for folder in folders if folder not in masks]


def _holds_masks(folder: Path) -> bool:
    """See `FolderClip`."""
    try:
        return looks_like_mask(image_files(folder)[0])
    except InputError:  # an animation alone, or one that only opening reports
        return False


def _workspaces_of(clips: list[Path], out: Path) -> dict[Path, str]:
    """The names of the workspaces of those clips that have one: its file says where the clip is, or was."""
    found: dict[Path, str] = {}
    made_for = {}
    called = {name for clip in clips for name in (clip.name, _stem(clip))}
    there = sorted(out.iterdir()) if out.is_dir() else []
    # a copy of a workspace names the same clip; the one that is called like the clip comes first
    for path in sorted(there, key=lambda path: path.name not in called):
        settings = Workspace(path).read_settings_or_none()
        if settings is not None:
            made_for[path.name] = Path(settings.clip)
    for moved in (False, True):  # all together, perhaps
        for name, was in made_for.items():
            if name in found.values() or (moved and (was.exists() or name not in called)):
                continue
            for clip in clips:
                if clip not in found and (clip.name == was.name if moved else clip.resolve() == was):
                    found[clip] = name
                    break
    return found
