"""What is killed and meets a failing disk: commands that are called again, and a page that is reopened."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import cv2
import torch
from conftest import write_tiny_clip
from tiny_benchmark import run_inline, tiny_settings, write_davis
from tiny_commands import make_lite_small
from tiny_page import OTHER, POINTS, Page, open_page
from tiny_run import write_keyframes
from tiny_training import hashes, log_lines, train_tiny
from torture.broken import Ended, Kind, Operations, run

from dextr_vos import folder_lock
from dextr_vos.annotation.annotations import as_text, load_annotations
from dextr_vos.benchmark.table import read_table
from dextr_vos.cli.main import main
from dextr_vos.propagation import finetune

# imported once, not in each of hundreds of processes
for name in (
    "annotate",
    "import_masks",
    "export",
    "propagate",
    "report",
    "options",
    "progress",
    "workspaces",
):
    import_module(f"dextr_vos.cli.{name}")
for name in (
    "dextr_vos.annotation.grabcut",
    "torch._dynamo",
    "pycocotools.mask",
    "imageio",
    "dextr_vos.pipeline",
):
    import_module(name)
torch.set_num_threads(1)
cv2.setNumThreads(0)

# locks stay, which are nobody's, and what only one more look shows to be there
_NOT_LEFT_BEHIND = {".lock", ".lock.json"}
_TIMES = ("time", "seconds")


@dataclass(frozen=True)
class Command:
    """A command, or a stage, that resumes when it is called again.

    Attributes:
        prepare: makes its input in a folder.
        work: does it there.
        result: what must be the same however often it was broken off.
        sentence: it is a command, which ends in a sentence where the disk fails.
    """

    prepare: Callable[[Path], object]
    work: Callable[[Path], object]
    result: Callable[[Path], object]
    sentence: bool = True


def _digests(folder: Path, pattern: str = "*.png") -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
        if path.is_file() and not path.name.startswith(".")
    }


def _document(work: Path) -> object:
    """The annotations without times."""
    content = json.loads(as_text(load_annotations(work / "annotations.json")))

    def timeless(value: object) -> object:
        if isinstance(value, dict):
            return {key: timeless(each) for key, each in value.items() if key not in _TIMES}
        return [timeless(each) for each in value] if isinstance(value, list) else value

    return timeless(content)


def _prepare_clicks(folder: Path) -> None:
    write_tiny_clip(folder / "clip")
    clicks = {"00000": [POINTS, OTHER], "00003": [POINTS]}
    (folder / "clicks.json").write_text(json.dumps(clicks))


def _annotate(folder: Path) -> None:
    given = ("--clicks", folder / "clicks.json", "--out", folder / "work", "--model", "grabcut")
    _call("annotate", folder / "clip", *given)


def _prepare_import(folder: Path) -> None:
    _prepare_export(folder)
    _call("export", folder / "work", "--format", "coco", "--keyframes-only", "-o", folder / "masks.json")


def _prepare_export(folder: Path) -> None:
    write_tiny_clip(folder / "clip")
    page = open_page(folder / "clip", folder / "work", objects=2)
    page.points(0, 1, POINTS)
    page.points(3, 2, OTHER)
    page.service.close()


def _export_to_a_folder(folder: Path) -> None:
    """Called again, it refuses the folder that is in place."""
    there = (folder / "out").exists()
    try:
        _call("export", folder / "work", "--format", "davis", "--keyframes-only", "-o", folder / "out")
    except SystemExit:
        if not there:
            raise


def _prepare_run(folder: Path) -> None:
    write_tiny_clip(folder / "clip")
    write_keyframes(folder / "keyframes", 0, 5)


def _propagate(folder: Path) -> None:
    _call(
        *("propagate", folder / "clip", "--keyframes", folder / "keyframes", "--out", folder / "run"),
        *("--device", "cpu", "--seed", "5", "--max-steps", "3", "--parent", "none"),
        *("batch=1", "correction_steps=2", "longest_side=64"),
    )


def _call(*given: object) -> None:
    try:
        main([str(each) for each in given], prog_name="dextr-vos")
    except SystemExit as ended:
        if ended.code:
            raise


def _benchmark(folder: Path) -> None:
    settings = tiny_settings(folder / "davis", supervision=("gt",), keyframes=(1,))
    run_inline(settings, folder / "out")
    _call("report", folder / "out")


def _table(folder: Path) -> object:
    rows = read_table(folder / "out")
    return [{key: value for key, value in row.items() if not key.endswith("_s")} for row in rows]


COMMANDS = {
    "annotate": Command(
        _prepare_clicks, _annotate, lambda folder: (_document(folder / "work"), _digests(folder / "work"))
    ),
    "import": Command(
        _prepare_import,
        lambda folder: _call(
            "import", folder / "clip", folder / "masks.json", "--format", "coco", "-o", folder / "w"
        ),
        lambda folder: (_document(folder / "w"), _digests(folder / "w")),
    ),
    "export to a file": Command(
        _prepare_export,
        lambda folder: _call(
            "export", folder / "work", "--format", "coco", "--keyframes-only", "-o", folder / "out.json"
        ),
        lambda folder: _digests(folder, "out.json"),
    ),
    "export to a folder": Command(
        _prepare_export,
        _export_to_a_folder,
        lambda folder: _digests(folder / "out"),
    ),
    "propagate": Command(_prepare_run, _propagate, lambda folder: _digests(folder / "run" / "masks")),
    "training": Command(
        lambda folder: None,
        lambda folder: train_tiny(folder / "out", {"save_every": 3}),
        lambda folder: (hashes(folder / "out"), log_lines(folder / "out")),
        sentence=False,
    ),
    "benchmark": Command(
        lambda folder: write_davis(folder / "davis", {"dog": 3}),
        _benchmark,
        _table,
        sentence=False,
    ),
}


def _names(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name not in _NOT_LEFT_BEHIND and "tensorboard" not in path.parts
    }


class BrokenCommand:
    """A command that is broken at one file operation after the other.

    Args:
        name: of the command.
        folder: for its copies.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._command = name, COMMANDS[name]
        self._input, self._folder = folder / "input", folder
        self._input.mkdir(parents=True)
        prepared = run(lambda _: self._command.prepare(self._input), self._input)
        assert prepared.status == 0, prepared.told
        whole = self._copy("whole")
        ended = self._run(whole)
        assert ended.status == 0, ended.told
        self.operations = ended.count
        self._result, self._names = self._command.result(whole), _names(whole)

    def broken_at(self, number: int, kind: Kind, limit: int | None = None) -> str:
        """Break it, call it again; what is wrong then, or ""."""
        folder = self._copy(f"{kind}-{number}")
        try:
            ended = self._run(folder, number, kind, limit)
            where = f"{self.name}, {kind} at operation {number}{'' if limit is None else f', limit {limit}'}"
            if (
                self._command.sentence
                and ended.status > 0
                and ("Traceback" in ended.told or ended.status != 2)
            ):
                return f"{where}: status {ended.status}, {ended.told[-400:]}"
            again = self._run(folder)
            if again.status:
                return f"{where}: called again: status {again.status}, {again.told[-400:]}"
            if self._command.result(folder) != self._result:
                return f"{where}: another result"
            left = _names(folder) - self._names
            return f"{where}: left behind {sorted(left)[:5]}" if left else ""
        finally:
            shutil.rmtree(folder)

    def _copy(self, name: str) -> Path:
        # always the same path, which is a part of what is written
        folder = self._folder / "here"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._input, folder)
        return folder

    def _run(self, folder: Path, number: int = 0, kind: Kind = "none", limit: int | None = None) -> Ended:
        def work(operations: Operations) -> None:
            make_lite_small()
            finetune.SECONDS_BETWEEN_CHECKPOINTS = 0.0
            folder_lock.LOCKED_WITHIN_S = 0.0
            self._command.work(folder)

        return run(work, folder, number, kind, limit)


ACTS: tuple[Callable[[Page], object], ...] = (
    lambda page: page.do("/api/objects"),
    lambda page: page.points(0, 1, POINTS),
    lambda page: page.points(0, 1, [*POINTS, [20, 20]]),
    lambda page: page.do("/api/frames/0/objects/2/stroke", path=[[50, 40]], radius=3),
    lambda page: page.points(3, 2, OTHER),
    lambda page: page.do("/api/frames/4/keyframe", keyframe=True),
    lambda page: page.do("/api/frames/3/lock", locked=True),
    lambda page: page.do("/api/undo"),
    lambda page: page.do("/api/undo"),
    lambda page: page.do("/api/redo"),
    lambda page: page.do("/api/objects/1", name="dog"),
    lambda page: page.do("/api/objects/1/delete"),
    lambda page: page.do("/api/undo"),
)


def _shown(page: Page, work: Path) -> object:
    """What a person has: annotations, masks, and what undo and redo would do."""
    state = page.state()
    masks = _digests(work / "keyframes") | {
        f"c/{name}": d for name, d in _digests(work / "corrections").items()
    }
    document = _document(work) if (work / "annotations.json").exists() else None
    return json.loads(json.dumps([document, masks, state["history"]]))


class BrokenPage:
    """A page on which a person edits, broken at one file operation after the other.

    Args:
        folder: for its copies.
    """

    name = "page"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self._clip = folder, write_tiny_clip(folder / "clip")
        ended = run(self._edit, folder / "work")
        assert ended.status == 0, ended.told
        self.operations = ended.count
        self._states = [json.loads(line) for line in ended.told.splitlines()]

    def _edit(self, operations: Operations) -> None:
        """All edits; each state is printed, and how many were acknowledged is noted."""
        work = self._folder / "work"
        page = open_page(self._clip, work)
        print(json.dumps(_shown(page, work)))
        for number, act in enumerate(ACTS, 1):
            act(page)
            operations.note(number)
            print(json.dumps(_shown(page, work)))

    def _fail(self, operations: Operations) -> None:
        """Edits on a disk that fails; the first that is refused changes nothing, now and when reopened."""
        work = self._folder / "work"
        page = open_page(self._clip, work)
        operations.note(1)
        for number, act in enumerate(ACTS):
            try:
                act(page)
            except AssertionError:
                operations.mend()
                for opened in (page, open_page(self._clip, work)):
                    if _shown(opened, work) != self._states[number]:
                        raise SystemExit(f"refused edit {number} has changed something") from None
                act(page)
            if _shown(page, work) != self._states[number + 1]:
                raise SystemExit(f"edit {number} has another effect")

    def _look(self, _: Operations) -> None:
        work = self._folder / "work"
        print(json.dumps(_shown(open_page(self._clip, work), work)))

    def broken_at(self, number: int, kind: Kind, limit: int | None = None) -> str:
        """Break it, open it again; what is wrong then, or ""."""
        work = self._folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        ended = run(self._edit if kind == "kill" else self._fail, work, number, kind, limit)
        where = f"page, {kind} at operation {number}{'' if limit is None else f', limit {limit}'}"
        # on a disk that failed at once the workspace could not even be opened, and no edit was made
        early = kind != "kill" and "Traceback" in ended.told and ended.noted == 0
        if kind != "kill" and ended.status and not early:
            return f"{where}: {ended.told[-400:]}"
        again = run(self._look, work)
        if again.status:
            return f"{where}: opened again: {again.told[-400:]}"
        if kind == "kill":
            expected = self._states[ended.noted : ended.noted + 2]
        else:
            expected = self._states[:1] if early else self._states[-1:]
        if json.loads(again.told) not in expected:
            return f"{where}: the workspace is another than the edits that were acknowledged make it"
        left = [str(path) for path in work.rglob(".dextr-vos-*")]
        return f"{where}: left behind {left[:3]}" if left else ""
