"""Which code of this package a process runs: workers that run another one would give other results."""

import hashlib
from functools import cache
from pathlib import Path

import dextr_vos
from dextr_vos.errors import InputError
from dextr_vos.files import file_digest


@cache
def code_digest() -> str:
    """A digest of this package's code, as it was when this process first called this function."""
    package = Path(dextr_vos.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.name};{file_digest(path)}".encode())
    return digest.hexdigest()[:16]


def check_code(code: str) -> None:
    """Refuse to work for a command of other code.

    Args:
        code: `code_digest` of the command.

    Raises:
        InputError: it is not that of this process.
    """
    if code != code_digest():
        raise InputError(
            f"it runs other code of dextr-vos ({code_digest()}) than the command ({code}); "
            "install the same everywhere, and start the workers and the command again"
        )
