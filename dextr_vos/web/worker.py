"""The child process that propagates or exports: work comes in on standard input, progress goes out in lines.

The server keeps the child's standard input open. When that is closed, because the work is cancelled or the
server has ended, for whatever reason, the child stops after the present step and keeps what is finished.
"""

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from dextr_vos.errors import DextrVosError, Interrupted, counted
from dextr_vos.interrupt import StopAsked
from dextr_vos.run_files import RunPaths

Send = Callable[[dict[str, Any]], None]

NICENESS = 10  # of the child: clicks come first


def main() -> int:
    """Do the work that the first line of standard input describes; 0 done, 1 failed, 3 stopped."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # whatever a library prints must not get among the lines of progress
    stop = threading.Event()
    work = json.loads(sys.stdin.readline())
    threading.Thread(target=_wait_for_end, args=(sys.stdin, stop), daemon=True).start()

    def send(line: dict[str, Any]) -> None:
        try:
            out.write(json.dumps(line) + "\n")
            out.flush()
        except OSError:
            stop.set()  # the server has ended

    return _do(work, send, stop.is_set)


def _do(work: dict[str, Any], send: Send, stop_asked: StopAsked) -> int:
    kinds: dict[str, Callable[[dict[str, Any], Send, StopAsked], str]]
    kinds = {"propagate": _propagate, "export": _export}
    try:
        send({"done": kinds[work["kind"]](work, send, stop_asked)})
    except Interrupted as stopped:
        send({"stopped": str(stopped)})
        return 3
    except DextrVosError as error:
        send({"failed": str(error)})
        return 1
    except OSError as error:
        file = error.filename or "a file"
        send({"failed": f"cannot read or write {file}: {error.strerror or error}"})
        return 1
    return 0


def _wait_for_end(stream: TextIO, stop: threading.Event) -> None:
    while stream.read(4096):
        pass
    stop.set()


def _propagate(work: dict[str, Any], send: Send, stop_asked: StopAsked) -> str:
    """Fine-tune and segment, as `dextr-vos propagate` does."""
    from dextr_vos.clip import open_clip
    from dextr_vos.pipeline import PropagationOptions, train_propagation
    from dextr_vos.propagation.settings import Callbacks

    send({"phase": "loading"})
    out = Path(work["out"])
    options = PropagationOptions(
        model=work["model"],
        parent=work["parent"],
        device=work["device"],
        max_steps=work["max_steps"],
        budget_s=work["budget_s"],
        settings=work["settings"],
        direction=work["direction"],
        frames=None if work["frames"] is None else range(work["frames"][0], work["frames"][1] + 1),
    )
    progress = _Progress(RunPaths(out), send)
    callbacks = Callbacks(
        progress.on_plan, progress.on_step, progress.on_frame, stop_asked, progress.on_phase
    )
    clip, keyframes = open_clip(work["clip"]), Path(work["workspace"])
    record = train_propagation(clip, keyframes, out, options, callbacks, keep_stopped=True)
    poor = [each for each, iou in record.training.keyframe_iou.items() if iou < work["min_iou"]]
    if poor:
        return (
            f"done, but the network does not reproduce the keyframes' masks of object {poor[0]}; "
            "check its masks, and annotate more frames"
        )
    steps = record.training.steps
    return f"done in {counted(steps, 'step')}" if steps else "done; nothing was fine-tuned"


class _Progress:
    """Sends the progress of a run, and each of its masks once.

    Args:
        run: the files of the run.
        send: sends one line.
    """

    def __init__(self, run: RunPaths, send: Send) -> None:
        self._run, self._send = run, send
        self._sent: set[Path] = set()

    def on_plan(self, estimate: Any) -> None:
        """See `train_propagation`."""
        plan = {"step_s": estimate.step_s, "segmenting_s": estimate.segmenting_s}
        self._send({"plan": plan})

    def on_phase(self, phase: str, done: int, total: int) -> None:
        """See `Callbacks`."""
        self._send({"phase": phase, "done": done, "total": total})

    def on_step(self, done: int, total: int, loss: float) -> None:
        """See `train_propagation`."""
        self._send({"phase": "training", "done": done, "total": total, "loss": loss})

    def on_frame(self, done: int, total: int) -> None:
        """See `train_propagation`."""
        self._send_new_masks()
        self._send({"phase": "segmenting", "done": done, "total": total})

    def _send_new_masks(self) -> None:
        pending = self._run.all_pending()
        if not pending:
            return
        run = pending[-1]
        new = {path for path in run.masks.glob("*.png") if not path.name.startswith(".")} - self._sent
        self._sent |= new
        for path in sorted(new):
            self._send({"made": path.stem, "folder": run.path.name})


def _export(work: dict[str, Any], send: Send, stop_asked: StopAsked) -> str:
    """Write one export."""
    from dextr_vos.web.exports import write_export
    from dextr_vos.web.schemas import Export
    from dextr_vos.workspace import Workspace

    def on_frame(done: int, total: int) -> None:
        send({"phase": "writing", "done": done, "total": total})
        if stop_asked():
            raise Interrupted("the export was cancelled")

    workspace = Workspace(Path(work["workspace"]))
    asked = Export.model_validate(work["export"])
    file = write_export(asked, Path(work["clip"]), workspace.path, on_frame)
    drafts = workspace.drafts_left_out()
    return f"ready to download: {file.name}" + (f"; {drafts}" if drafts else "")


if __name__ == "__main__":
    sys.exit(main())
