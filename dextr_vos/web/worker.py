"""The child process that propagates or exports: work comes in on standard input, progress goes out in lines.

The server keeps the child's standard input open. When it is closed, because the work is cancelled or because
the server is gone, however it ended, the child stops after the step it is at and keeps everything.
"""

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from dextr_vos.errors import DextrVosError, Interrupted

Tell = Callable[[dict[str, Any]], None]

PATIENCE = 10  # how far the child stands back behind the server, as `nice` has it


def main() -> int:
    """Do the work that standard input holds in its first line; 0 done, 1 failed, 3 stopped."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    if hasattr(os, "nice"):
        os.nice(PATIENCE)  # clicks come first
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # whatever a library prints is no progress
    stop = threading.Event()
    work = json.loads(sys.stdin.readline())
    threading.Thread(target=_listen, args=(sys.stdin, stop), daemon=True).start()

    def tell(line: dict[str, Any]) -> None:
        try:
            out.write(json.dumps(line) + "\n")
            out.flush()
        except OSError:
            stop.set()  # nobody is there

    try:
        kinds: dict[str, Callable[[dict[str, Any], Tell, Callable[[], bool]], str]]
        kinds = {"propagate": _propagate, "export": _export}
        tell({"done": kinds[work["kind"]](work, tell, stop.is_set)})
    except Interrupted as stopped:
        tell({"stopped": str(stopped)})
        return 3
    except DextrVosError as fault:
        tell({"failed": str(fault)})
        return 1
    except OSError as fault:
        place = fault.filename or "a file"
        tell({"failed": f"cannot read or write {place}: {fault.strerror or fault}"})
        return 1
    return 0


def _listen(stream: TextIO, stop: threading.Event) -> None:
    """Note the end of the stream."""
    while stream.read(4096):
        pass
    stop.set()


def _propagate(work: dict[str, Any], tell: Tell, stop_asked: Callable[[], bool]) -> str:
    """Fine-tune and segment; what `dextr-vos train-propagation` does."""
    from dextr_vos.clip import open_clip
    from dextr_vos.pipeline import PropagationOptions, train_propagation
    from dextr_vos.propagation.estimate import Estimate
    from dextr_vos.propagation.settings import Callbacks

    out = Path(work["out"])
    seen = _NewMasks(out)

    def on_plan(estimate: Estimate) -> None:
        tell({"plan": {"training_s": estimate.training_s, "segmenting_s": estimate.segmenting_s}})

    def on_step(done: int, total: int, loss: float) -> None:
        tell({"phase": "training", "done": done, "total": total, "loss": loss})

    def on_frame(done: int, total: int) -> None:
        for line in seen.lines():
            tell(line)
        tell({"phase": "segmenting", "done": done, "total": total})

    tell({"phase": "getting ready"})
    options = PropagationOptions(
        model=work["network"],
        parent=work["parent"],
        device=work["device"],
        max_steps=work["max_steps"],
        budget_s=work["budget_s"],
        settings=work["settings"],
    )
    callbacks = Callbacks(on_plan, on_step, on_frame, stop_asked)
    record = train_propagation(open_clip(work["clip"]), Path(work["workspace"]), out, options, callbacks)
    poor = [number for number, iou in record.training.keyframe_iou.items() if iou < work["poor_iou"]]
    if poor:
        return (
            f"done, but the network does not repeat the keyframes' masks of object {poor[0]}; "
            "look closely, and annotate more frames"
        )
    return f"done in {record.training.steps} steps"


class _NewMasks:
    """Masks of an unfinished run that were not there at the last look."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._seen: set[Path] = set()

    def lines(self) -> list[dict[str, Any]]:
        """What to tell of them."""
        folders = [folder for folder in self._run.glob(".next-*/masks") if folder.is_dir()]
        if not folders:
            return []
        folder = max(folders, key=lambda each: each.stat().st_mtime_ns)
        new = {path for path in folder.glob("*.png") if path.name[0] != "."} - self._seen
        self._seen |= new
        return [{"made": path.stem, "folder": folder.parent.name} for path in sorted(new)]


def _export(work: dict[str, Any], tell: Tell, stop_asked: Callable[[], bool]) -> str:
    """Write one kind of export."""
    from dextr_vos.web.exports import write_export

    def on_frame(done: int, total: int) -> None:
        tell({"phase": "writing", "done": done, "total": total})
        if stop_asked():
            raise Interrupted("the export was cancelled")

    write_export(work["export"], Path(work["clip"]), Path(work["workspace"]), on_frame)
    return "ready to download"


if __name__ == "__main__":
    sys.exit(main())
