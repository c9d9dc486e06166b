"""The part of the report on where its numbers come from: settings, machines, versions, what failed."""

import html
from collections.abc import Sequence
from pathlib import Path

from dextr_vos.benchmark import style
from dextr_vos.benchmark.result import CellResult
from dextr_vos.benchmark.run import Grid


def origin(out: Path, done: Grid, results: Sequence[CellResult]) -> str:
    """A list of facts, the settings, and the cells that failed."""
    machines = list(dict.fromkeys(one.machine.model_dump_json() for one in results))
    told = {one.machine.model_dump_json(): one.machine for one in results}
    facts = [("ran on", done.workers), ("hours, all times together", f"{done.hours:.2f}")]
    for key in machines:
        machine = told[key]
        count = sum(one.machine.model_dump_json() == key for one in results)
        facts.append(
            (
                f"{machine.host}, {count} cells",
                f"{machine.processor}, {machine.cores} cores, {machine.device}, {machine.precision}, "
                f"{machine.threads} threads a job; "
                + ", ".join(f"{name} {version}" for name, version in machine.versions.items())
                + f"; code {machine.code}",
            )
        )
    differences = [one.official_difference for one in results if one.official_difference is not None]
    if differences:
        facts.append(
            (
                "largest difference from the official scorer",
                f"{max(differences):.1e} ({len(differences)} cells)",
            )
        )
    if len({one.machine.code for one in results}) > 1:
        facts.append(("mind", "cells were made by different versions of this package's code"))
    parts = [style.definitions([(term, what) for term, what in facts if what])]
    failed = [entry for entry in done.cells if entry.fault]
    if failed:
        lines = "".join(
            f'<li class="fault">{html.escape(str(entry.cell))}: {html.escape(entry.fault)}</li>'
            for entry in failed
        )
        parts.append(f"<h3>Failed twice</h3><ul>{lines}</ul>")
    settings = out / "settings.yaml"
    if settings.exists():
        text = html.escape(settings.read_text(encoding="utf-8"))
        parts.append(f"<details><summary>Settings</summary><pre>{text}</pre></details>")
    return "".join(parts)
