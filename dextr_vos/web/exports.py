"""Where exports lie in a workspace, and which of them are ready to download."""

from pathlib import Path

from dextr_vos.workspace import Workspace

FILES = {"masks": "masks.zip", "video": "overlay.mp4", "coco": "coco.json"}


def export_file(workspace: Workspace, kind: str) -> Path:
    """Where an export lies."""
    return workspace.path / "exports" / FILES[kind]


def is_ready(workspace: Workspace, kind: str) -> bool:
    """Whether an export is there and nothing has changed since."""
    sources = (workspace.annotations, workspace.path / "propagation" / "run.json")
    try:
        made = export_file(workspace, kind).stat().st_mtime_ns
        return all(made >= source.stat().st_mtime_ns for source in sources if source.exists())
    except OSError:
        return False
