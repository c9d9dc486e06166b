"""Damaged files for the loaders, a million of them: each is read, or refused in one sentence.

    PYTHONPATH=tests:. python tests/torture/fuzz.py --inputs 1000000 --minutes 60

Where `atheris` is installed, what the loaders execute decides which inputs are changed further. Rounds give
every loader the same time, from the second on the slow ones more, each in a process of its own, until the
inputs or the minutes are used up. A folder in memory, such as /dev/shm, makes several times as many. What was
found is printed at the end, and the inputs that are faults are kept. The status is 1 where there was a
fault, or where the minutes ended before as many inputs as were asked for.
"""

import argparse
import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

try:
    import atheris
except ImportError:
    atheris = None

with nullcontext() if atheris is None else atheris.instrument_imports(include=["dextr_vos", "PIL", "ruamel"]):
    from torture.loaders import LOADERS, PARTS, changed, drawn_changes, write_seeds

    from dextr_vos.errors import DextrVosError

SLOWEST_S = 10.0
MEMORY_MB = 2048
LONGEST_BYTES = 16_384
ROUND_S, SLOW_ROUND_S = 10.0, 40.0


class Fuzzed:
    """One loader and what came of its inputs.

    Args:
        name: of the loader.
        folder: for the seeds and for inputs that are faults.
        seconds: after which it ends.
    """

    def __init__(self, name: str, folder: Path, seconds: float) -> None:
        self.seeds = folder / "seeds"
        self.name, self.read = name, LOADERS[name].read
        self.path, self._faults = self.seeds / LOADERS[name].file, folder / "faults"
        self.whole = self.path.read_bytes()
        self._end = time.monotonic() + seconds
        self.figures: dict[str, Any] = {"inputs": 0, "refused": 0, "faults": [], "slowest_s": 0.0}

    def give(self, content: bytes) -> None:
        """Give the loader one input."""
        figures, began = self.figures, time.process_time()  # that of a busy machine says nothing
        before = _memory_mb()
        self.path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.read(self.path, self.seeds)
        except DextrVosError as refused:
            figures["refused"] += 1
            if "\n" in str(refused):
                self._keep(content, f"more than a line: {refused!s:.200}")
        except Exception as error:
            self._keep(content, f"{type(error).__name__} at {_place(error)}: {error!s:.120}")
        seconds = time.process_time() - began
        figures["inputs"] += 1
        figures["slowest_s"] = max(figures["slowest_s"], seconds)
        if seconds > SLOWEST_S:
            self._keep(content, f"slow: {seconds:.0f} s")
        most = _memory_mb()  # atheris looks, too, but it need not be there
        if most > max(before, MEMORY_MB):
            self._keep(content, f"memory: {most} MB")
        if time.monotonic() > self._end:
            self.end()

    def end(self) -> None:
        """Write down what was found, and end the process: atheris never returns."""
        self.path.write_bytes(self.whole)
        self.figures["memory_mb"] = _memory_mb()
        _figures_file(self.seeds.parent).write_text(json.dumps(self.figures))
        os._exit(0)

    def _keep(self, content: bytes, what: str) -> None:
        key = what.split(": ")[0]
        if any(fault.startswith(key) for fault in self.figures["faults"]):
            return
        kept = self._faults / f"{self.name.replace(' ', '-')}-{key.replace(' ', '-').replace(':', '-')}"
        kept.write_bytes(content)
        self.figures["faults"].append(what)


def _place(error: BaseException) -> str:
    """Where in the package an error came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/dextr_vos/" in frame.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


def _memory_mb() -> int:
    """The most that this process has used."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most >> (20 if sys.platform == "darwin" else 10)


def _figures_file(folder: Path) -> Path:
    return folder / "round.json"


def fuzz_one(name: str, folder: Path, seconds: float, seed: int) -> None:
    """Fuzz a loader in this process, which ends with it."""
    logging.disable(logging.CRITICAL)
    loader, rng = Fuzzed(name, folder, seconds), random.Random(f"{seed} {name}")

    def mutate(content: bytes, max_size: int, mutation: int) -> bytes:
        # our changes, too: they copy parts of a file and put in what parsers stumble over
        if mutation % 3:
            return bytes(atheris.Mutate(content, max_size))
        return changed(content, drawn_changes(rng))[:max_size]

    if atheris is None:
        while True:
            loader.give(changed(loader.whole, drawn_changes(rng)))
    corpus = folder / "corpus" / name.replace(" ", "-")
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "whole").write_bytes(loader.whole)
    options = {
        "seed": seed % (1 << 31) or 1, "max_len": max(LONGEST_BYTES, 2 * len(loader.whole)), "reload": 0,
        "timeout": int(12 * SLOWEST_S), "rss_limit_mb": MEMORY_MB, "len_control": 0, "verbosity": 0,
        "dict": folder / "dictionary", "artifact_prefix": f"{folder}/faults/{name.replace(' ', '-')}-",
    }  # fmt: skip
    arguments = [f"-{key}={value}" for key, value in options.items()]
    atheris.Setup(["fuzz", *arguments, str(corpus)], loader.give, custom_mutator=mutate)
    atheris.Fuzz()


def fuzz_all(folder: Path, inputs: int | None, minutes: float, seed: int, only: str = "") -> dict[str, Any]:
    """Fuzz every loader in rounds, each in a process of its own.

    Args:
        folder: for inputs, faults and figures.json.
        inputs: after which it ends; None for as many as the minutes allow.
        minutes: after which it ends.
        seed: of everything.
        only: loaders whose names contain this.

    Returns:
        Figures of all: inputs, how many were refused, faults, the slowest in seconds, memory in MB.
    """
    names = [name for name in LOADERS if only in name]
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # where videos leave an index
    _prepare(folder)
    found: dict[str, Any] = {"inputs": 0, "refused": 0, "faults": [], "slowest_s": 0.0, "memory_mb": 0}
    found["by_loader"] = dict.fromkeys(names, 0)
    end, rounds = time.monotonic() + 60 * minutes, 0
    while (inputs is None or found["inputs"] < inputs) and time.monotonic() < end:
        slow = slow_loaders(found["by_loader"])
        for name in names:
            left_s = end - time.monotonic()
            if left_s > 0:
                seconds = SLOW_ROUND_S if rounds and name in slow else ROUND_S
                figures = _round(name, folder, min(seconds, left_s, 60 * minutes / len(names)), seed + rounds)
                _add(found, name, figures)
                (folder / "figures.json").write_text(json.dumps(found, indent=1))
        rounds += 1
    return found


def slow_loaders(inputs: Mapping[str, int]) -> set[str]:
    """The quarter of the loaders that had the fewest inputs.

    Args:
        inputs: so far, by loader.
    """
    return set(sorted(inputs, key=lambda name: inputs[name])[: len(inputs) // 4])


def _prepare(folder: Path) -> None:
    shutil.rmtree(folder / "seeds", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_seeds(folder / "seeds")
    (folder / "faults").mkdir(exist_ok=True)
    words = ("".join(f"\\x{byte:02x}" for byte in part) for part in PARTS if len(part) < 40)
    (folder / "dictionary").write_text("".join(f'"{word}"\n' for word in words))


def _round(name: str, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Some seconds of a loader in a forked process, which has everything imported."""
    told = folder / "told.txt"
    shutil.rmtree(folder / "cache", ignore_errors=True)
    _figures_file(folder).unlink(missing_ok=True)
    process = os.fork()
    if process == 0:
        output = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            fuzz_one(name, folder, seconds, seed)
        finally:
            os._exit(3)
    status = _ended(process, seconds + 30 * SLOWEST_S)
    path = folder / "seeds" / LOADERS[name].file
    if _figures_file(folder).exists():
        result: dict[str, Any] = json.loads(_figures_file(folder).read_text())
        return result
    last = [
        line for line in told.read_text(errors="replace").splitlines() if "ERROR" in line or "Error" in line
    ]
    shutil.copyfile(path, folder / "faults" / f"{name.replace(' ', '-')}-ended")
    fault = f"process ended with {status}: {' | '.join(last)[:300]}"
    shutil.rmtree(folder / "seeds")
    write_seeds(folder / "seeds")
    return {"inputs": 0, "refused": 0, "faults": [fault], "slowest_s": 0.0, "memory_mb": 0}


def _ended(process: int, seconds: float) -> int:
    """The exit status of a process, which is killed after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _add(found: dict[str, Any], name: str, figures: dict[str, Any]) -> None:
    found["by_loader"][name] += figures["inputs"]
    for key in ("inputs", "refused"):
        found[key] += figures[key]
    for key in ("slowest_s", "memory_mb"):
        found[key] = max(found[key], figures[key])
    known = {fault.split(": ")[1] for fault in found["faults"]}
    found["faults"] += [f"{name}: {one}" for one in figures["faults"] if one.split(": ")[0] not in known]


def shortfall(found: dict[str, Any], inputs: int | None) -> list[str]:
    """A sentence where the minutes ended before there were as many inputs as asked for."""
    if inputs is None or found["inputs"] >= inputs:
        return []
    return [f"only {found['inputs']} of {inputs} inputs within the minutes; give it more"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a script; see the module."""
    options = argparse.ArgumentParser(description="Fuzz the loaders.")
    options.add_argument("--inputs", type=int, help="end after so many; else as many as the minutes allow")
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options.add_argument(
        "--folder", type=Path, default=Path("fuzzed"), help="for inputs, faults and figures.json"
    )
    options.add_argument("--only", default="", help="loaders whose names contain this")
    given = options.parse_args(arguments)
    found = fuzz_all(given.folder.resolve(), given.inputs, given.minutes, given.seed, given.only)
    found["faults"] += shortfall(found, given.inputs)
    (given.folder / "figures.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found | {"seed": given.seed}, indent=1))
    return int(bool(found["faults"]))


if __name__ == "__main__":
    sys.exit(main())
