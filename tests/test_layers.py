"""The architecture as a test: a room imports only rooms below it, and the three stages never one another."""

import ast
from functools import cache
from pathlib import Path

import pytest

import dextr_vos

PACKAGE = Path(dextr_vos.__file__).parent

# bottom up; a room may import any room on an earlier line
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "orientation"),
    ("files", "interrupt", "matlab", "not_a_clip", "pixel_levels", "yaml_text"),
    ("config", "cpu_layers", "folder_lock", "geometry", "images", "runtime"),
    ("mask_file", "optical_flow", "workers", "download"),
    ("mask_values",),
    ("masks",),
    ("clip", "frame_lists"),
    ("video", "image_stack"),
    ("run_files",),
    ("workspace",),
    ("networks",),
    ("datasets",),
    ("annotation", "propagation", "evaluation"),  # the stages
    ("training",),
    ("export", "pipeline"),
    ("benchmark", "project"),
    ("web",),
    ("integrations",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

# open_clip is the one place that knows all kinds of clips; the others build on clip.py
ALLOWED = {("clip", "video"), ("clip", "image_stack")}


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
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in sources()
        for room in imported_rooms(path) - {room_of(path)}
        if LEVEL[room] >= LEVEL[room_of(path)] and (room_of(path), room) not in ALLOWED
    ]
    assert not wrong


def test_no_two_public_classes_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_no_file_is_called_after_nothing() -> None:
    vague = {"utils", "helpers", "common", "misc", "tools"}
    assert not [path for path in PACKAGE.rglob("*.py") if path.stem in vague]


def test_files_stay_small() -> None:
    long = {path.name: count for path in sources() if (count := len(path.read_text().splitlines())) > 400}
    assert not long


def test_nothing_prints_outside_the_command_line() -> None:
    wrong = []
    for path in sources():
        if room_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("print", "exit")
            ):
                wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert not wrong


def modules_of(room: str) -> dict[str, Path]:
    return {
        ".".join(("dextr_vos", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in sources()
        if room_of(path) == room and path.stem != "__init__"
    }


def imports_within(room: str) -> dict[str, set[str]]:
    """The modules of a room, and which of their own room they import."""
    modules = modules_of(room)
    imports = {}
    for name, path in modules.items():
        found = set()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        imports[name] = (found & modules.keys()) - {name}
    return imports


DEEPEST = {"datasets": 6, "propagation": 7, "web": 7, "benchmark": 7}


@pytest.mark.parametrize("room", sorted(room for room in LEVEL if (PACKAGE / room).is_dir()))
def test_imports_within_a_room_form_short_chains_without_circles(room: str) -> None:
    imports = imports_within(room)

    @cache
    def depth(name: str) -> int:  # a circle would end in a RecursionError
        return 1 + max((depth(other) for other in imports[name]), default=0)

    assert max(map(depth, imports)) <= DEEPEST.get(room, 5)


def test_only_the_pipeline_chains_clicks_and_propagation() -> None:
    both = {
        str(path.relative_to(PACKAGE))
        for path in sources()
        if {"annotation", "propagation"} <= imported_rooms(path)
    }
    # the others measure and show both stages side by side and chain nothing
    assert both <= {"pipeline.py", "benchmark/speed/stages.py", "web/masks.py"}
