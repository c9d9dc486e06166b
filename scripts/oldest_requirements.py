"""Print the oldest releases that pyproject.toml allows, as pip constraints like `numpy==1.26.0`."""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
LOWER_BOUND = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<version>[\w.]+)")


def oldest_requirements() -> list[str]:
    """Every lower bound of the dependencies and the extras, sorted."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = [line for group in project["optional-dependencies"].values() for line in group]
    bounds = [LOWER_BOUND.fullmatch(line) for line in project["dependencies"] + extras]
    return sorted({f"{bound['name']}=={bound['version']}" for bound in bounds if bound})


if __name__ == "__main__":
    print("\n".join(oldest_requirements()))
