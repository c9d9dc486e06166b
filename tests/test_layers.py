"""The architecture as a test: a room imports only rooms below it, and the three stages never one another."""

import ast
from pathlib import Path

import dextr_vos

PACKAGE = Path(dextr_vos.__file__).parent

# bottom up; a room may import any room on an earlier line
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("files", "interrupt"),
    ("config", "folder_lock", "geometry", "images", "runtime"),
    ("masks",),
    ("clip",),
    ("video",),
    ("run_files",),
    ("workspace",),
    ("networks",),
    ("datasets",),
    ("annotation", "propagation", "evaluation"),  # the stages
    ("training",),
    ("export", "pipeline"),
    ("benchmark",),
    ("web",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

# open_clip is the one place that knows both kinds of clips; video.py builds on clip.py
ALLOWED = {("clip", "video")}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dextr_vos."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "dextr_vos":
            rooms |= {alias.name for alias in node.names if alias.name in LEVEL}
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dextr_vos.")}
    return rooms


def sources() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if room_of(path) not in ("__init__", "__main__")]


def test_every_file_lies_in_a_known_room() -> None:
    assert {room_of(path) for path in sources()} == set(LEVEL)


def test_rooms_import_only_what_stands_below() -> None:
    faults = [
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in sources()
        for room in imported_rooms(path) - {room_of(path)}
        if LEVEL[room] >= LEVEL[room_of(path)] and (room_of(path), room) not in ALLOWED
    ]
    assert not faults


def test_no_file_is_called_after_nothing() -> None:
    vague = {"utils", "helpers", "common", "misc", "tools"}
    assert not [path for path in PACKAGE.rglob("*.py") if path.stem in vague]


def test_files_stay_small() -> None:
    long = {path.name: count for path in sources() if (count := len(path.read_text().splitlines())) > 400}
    assert not long


def test_nothing_prints_outside_the_command_line() -> None:
    faults = []
    for path in sources():
        if room_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("print", "exit")
            ):
                faults.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert not faults
