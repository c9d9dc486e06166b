"""The whole campaign: kills, failing disks, damaged files, hostile requests, many clients, minutes of use.

    PYTHONPATH=tests:. python tests/torture/campaign.py --minutes 60

Everything is drawn from `--seed`. It ends with figures, which are in `--folder` as well, and with status 1
where anything was found.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torture.broken import Kind
from torture.scenarios import COMMANDS, BrokenCommand, BrokenPage
from torture.traffic import hostile_requests, many_clients, silent_connections, soak

Figures = dict[str, Any]
SCENARIOS = ("page", *COMMANDS)
QUICK = ("page", "annotate", "import", "export to a folder", "training")
FAILURES: tuple[Kind, ...] = ("full", "readonly", "broken")
LIMITS = (0, 100, 1000, 4000, 20_000)  # bytes above which no file can grow
HOSTILE, CLIENTS, EDITS, SILENT = 300, 20, 20, 1020


def broken(minutes: float, seed: int, names: Sequence[str] = SCENARIOS, most: int | None = None) -> Figures:
    """Kill commands and the page at every file operation, in random order, and let the disk fail there.

    Args:
        minutes: each scenario gets as many as another; one that is through gives its time to the next.
        seed: of the order.
        names: of the scenarios.
        most: times that each is broken; None for as often as there is time.
    """
    rng = random.Random(seed)
    found: Figures = {"kills": 0, "disk_failures": 0, "operations": {}, "faults": []}
    folder = Path(tempfile.mkdtemp(prefix="dextr-vos-torture-"))
    end = time.monotonic() + 60 * minutes
    for number, name in enumerate(names):
        until = time.monotonic() + (end - time.monotonic()) / (len(names) - number)
        place = folder / str(number)
        scenario = BrokenPage(place) if name == "page" else BrokenCommand(name, place)
        found["operations"][name] = scenario.operations
        for operation, kind, limit in _ways(scenario.operations, rng)[:most]:
            if most is None and time.monotonic() > until:
                break
            fault = scenario.broken_at(operation, kind, limit)
            found["kills" if kind == "kill" else "disk_failures"] += 1
            found["faults"] += [fault] if fault else []
        shutil.rmtree(place)
    shutil.rmtree(folder)
    return found


def _ways(operations: int, rng: random.Random) -> list[tuple[int, Kind, int | None]]:
    """How a scenario is broken: number of the operation, what happens there, limit of the size of files."""
    places = range(1, operations + 1)
    ways: list[tuple[int, Kind, int | None]] = [(each, "kill", None) for each in places]
    ways += [(each, rng.choice(FAILURES), None) for each in places]
    ways += [(0, "none", limit) for limit in LIMITS]
    rng.shuffle(ways)
    return ways


def campaign(minutes: float, inputs: int, seed: int, folder: Path, short: bool = False) -> Figures:
    """Half of the minutes for damaged files, a third for kills and disks, a sixth for a server in use.

    Args:
        minutes: for all.
        inputs: damaged files, at most.
        seed: of everything.
        folder: for figures, and inputs that are faults.
        short: only a few of each kind, always the same, and no damaged files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[], Figures]] = {
        "hostile requests": lambda: hostile_requests(60 if short else HOSTILE, seed),
        "silent connections": lambda: silent_connections(300 if short else SILENT),
        "clients": lambda: many_clients(3 if short else CLIENTS, 5 if short else EDITS),
        "kills and disks": lambda: broken(minutes / 3, seed),
        "soak": lambda: soak(minutes / 6, seed),
        "damaged files": lambda: _damaged_files(folder, inputs, minutes / 2, seed),
    }
    if short:
        parts["kills and disks"] = lambda: broken(1, seed, QUICK, 4)
        del parts["soak"], parts["damaged files"]
    figures: Figures = {"seed": seed}
    for name, part in parts.items():
        began = time.monotonic()
        figures[name] = part() | {"seconds": round(time.monotonic() - began)}
        shown = {key: value for key, value in figures[name].items() if key != "by_loader"}
        print(f"{name}: {json.dumps(shown)}", flush=True)
        (folder / "campaign.json").write_text(json.dumps(figures, indent=1))
    return figures


def _damaged_files(folder: Path, inputs: int, minutes: float, seed: int) -> Figures:
    """See `fuzz`, in a process of its own, which imports the package in another way."""
    given = {"inputs": inputs, "minutes": minutes, "seed": seed, "folder": folder}
    options = [text for key, value in given.items() for text in (f"--{key}", str(value))]
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzz.py")), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    found: Figures = json.loads((folder / "figures.json").read_text())
    return found


def main() -> int:
    """Run as a script; see the module."""
    options = argparse.ArgumentParser(description="Kill, damage and attack everything.")
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--inputs", type=int, default=1_000_000, help="damaged files, at most")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options.add_argument("--folder", type=Path, default=Path("torture"), help="for figures and damaged files")
    options.add_argument("--short", action="store_true", help="a few of each kind, and no damaged files")
    given = options.parse_args()
    figures = campaign(given.minutes, given.inputs, given.seed, given.folder.resolve(), given.short)
    faults = [fault for part in figures.values() if isinstance(part, dict) for fault in part["faults"]]
    print(f"{len(faults)} faults; seed {given.seed}")
    for fault in faults:
        print(fault)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
