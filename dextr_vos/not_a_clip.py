"""What to say of a path that is no clip: of an address, of a name that is mistyped, of one of the frames."""

import re
from contextlib import suppress
from difflib import get_close_matches
from mimetypes import guess_type
from pathlib import Path

# a path has lost one of the slashes
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)


def nothing_there(path: Path) -> str:
    """What to say of the path of a clip where nothing is."""
    address = _ADDRESS.match(str(path))
    if address is not None:
        rest = str(path)[address.end() :]
        if address[1].lower() == "file":
            return f"cannot open file:///{rest}: addresses are not read; give the path /{rest}"
        return f"cannot open {address[1]}://{rest}: addresses are not read; download the video first"
    near = None
    with suppress(OSError):  # a folder that cannot be listed
        near = _nearest(path)
    hint = f"; did you mean {near}?" if near is not None else ""
    return f"there is no clip {path}; expected a folder of images or a video file{hint}"


def one_image(path: Path) -> str:
    """What to say of an image in the place of a clip."""
    folder = path.parent if path.parent.name else path.absolute().parent
    return f"{path} is a single image; a clip is a folder of images or a video file; give the folder {folder}"


def _nearest(path: Path) -> Path | None:
    """A folder or a video that is there, and whose path differs in one name, which is alike."""
    missing = next(each for each in reversed([path, *path.parents]) if not each.exists())
    names = [
        entry.name
        for entry in missing.parent.iterdir()
        if not entry.name.startswith(".") and (entry.is_dir() or _may_be_video(entry, missing))
    ]
    for name in get_close_matches(missing.name, sorted(names), n=1):
        found = missing.with_name(name) / path.relative_to(missing)
        return found if found.exists() else None
    return None


def _may_be_video(file: Path, meant: Path) -> bool:
    kind = guess_type(file.name)[0] or ""
    return kind.startswith("video/") or (meant.suffix != "" and file.suffix.lower() == meant.suffix.lower())
