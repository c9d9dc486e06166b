"""The examples in docstrings run."""

import doctest
import importlib
from pathlib import Path

import pytest

import dextr_vos

PACKAGE = Path(dextr_vos.__file__).parent


def with_examples() -> list[str]:
    files = (path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))
    return sorted(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files)


@pytest.mark.parametrize("module", with_examples())
def test_examples_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module.removesuffix(".__init__")))
    assert result.failed == 0
