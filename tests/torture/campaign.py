"""The whole campaign: kills, failing disks, damaged files, hostile requests, many clients, minutes of use.

    PYTHONPATH=tests:. python tests/torture/campaign.py --minutes 60

Everything is drawn from `--seed`. It ends with figures, which are in `--folder` as well, and with status 1
where anything was found. `--parts "soak,kills and disks"` runs only these.
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
SHARES = {  # of the minutes, among the parts that are run; 0: as long as it takes
    "hostile requests": 0, "silent connections": 0, "clients": 0, "kills and disks": 2, "soak": 1,
    "damaged files": 3,
}  # fmt: skip
NOT_SHORT = ("soak", "damaged files")
LONG_FIGURES = ("by_loader", "samples")  # only in the file


def broken(minutes: float, seed: int, names: Sequence[str] = SCENARIOS, most: int | None = None) -> Figures:
    """Kill commands and the page at every file operation, in random order, and let the disk fail there.

    Args:
        minutes: after which it ends, whatever is left.
        seed: of the order.
        names: of the scenarios.
        most: times that each is broken; None for as often as there is time.
    """
    rng = random.Random(seed)
    found: Figures = {"kills": 0, "disk_failures": 0, "operations": {}, "faults": []}
    folder = Path(tempfile.mkdtemp(prefix="dextr-vos-torture-"))
    end = time.monotonic() + 60 * minutes
    ways = []
    for number, name in enumerate(names):
        place = folder / str(number)
        scenario = BrokenPage(place) if name == "page" else BrokenCommand(name, place)
        found["operations"][name] = scenario.operations
        ways += [(scenario, *way) for way in _ways(scenario.operations, rng)[:most]]
    rng.shuffle(ways)
    for scenario, operation, kind, limit in ways:
        if most is None and time.monotonic() > end:
            break
        fault = scenario.broken_at(operation, kind, limit)
        found["kills" if kind == "kill" else "disk_failures"] += 1
        if fault:
            found["faults"].append(fault)
            print(fault, flush=True)  # a campaign of hours need not be waited for
    found["of"] = len(ways)
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


def campaign(
    minutes: float, inputs: int | None, seed: int, folder: Path, short: bool = False, only: Sequence[str] = ()
) -> Figures:
    """Run the parts, one after the other; those that can go on for any time share the minutes, see `SHARES`.

    Args:
        minutes: for all.
        inputs: damaged files, after which that part ends; None for as many as the minutes allow.
        seed: of everything.
        folder: for figures, and inputs that are faults.
        short: only a few of each kind, always the same, and no damaged files.
        only: names of the parts to run; all, where it is empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in SHARES if name in (only or SHARES) and not (short and name in NOT_SHORT)]
    part_of = {name: minutes * SHARES[name] / max(1, sum(SHARES[each] for each in names)) for name in names}
    parts: dict[str, Callable[[], Figures]] = {
        "hostile requests": lambda: hostile_requests(60 if short else HOSTILE, seed),
        "silent connections": lambda: silent_connections(300 if short else SILENT),
        "clients": lambda: many_clients(3 if short else CLIENTS, 5 if short else EDITS),
        "kills and disks": lambda: (
            broken(1, seed, QUICK, 4) if short else broken(part_of["kills and disks"], seed)
        ),
        "soak": lambda: soak(part_of["soak"], seed),
        "damaged files": lambda: _damaged_files(folder, inputs, part_of["damaged files"], seed),
    }
    figures: Figures = {"seed": seed}
    for name in names:
        began = time.monotonic()
        figures[name] = parts[name]() | {"seconds": round(time.monotonic() - began)}
        shown = {key: value for key, value in figures[name].items() if key not in LONG_FIGURES}
        print(f"{name}: {json.dumps(shown)}", flush=True)
        (folder / "campaign.json").write_text(json.dumps(figures, indent=1))
    return figures


def _damaged_files(folder: Path, inputs: int | None, minutes: float, seed: int) -> Figures:
    """See `fuzz`, in a process of its own, which imports the package in another way."""
    given = {"minutes": minutes, "seed": seed, "folder": folder}
    given |= {} if inputs is None else {"inputs": inputs}
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
    options.add_argument("--inputs", type=int, help="damaged files; else as many as the minutes allow")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options.add_argument("--folder", type=Path, default=Path("torture"), help="for figures and damaged files")
    options.add_argument("--short", action="store_true", help="a few of each kind, and no damaged files")
    options.add_argument(
        "--parts", default="", help=f"only these, with commas between them: {', '.join(SHARES)}"
    )
    given = options.parse_args()
    only = [name.strip() for name in given.parts.split(",") if name.strip()]
    if unknown := set(only) - set(SHARES):
        options.error(f"--parts: expected some of {', '.join(SHARES)}, got {', '.join(sorted(unknown))}")
    figures = campaign(given.minutes, given.inputs, given.seed, given.folder.resolve(), given.short, only)
    faults = [fault for part in figures.values() if isinstance(part, dict) for fault in part["faults"]]
    print(f"{len(faults)} faults; seed {given.seed}")
    for fault in faults:
        print(fault)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
