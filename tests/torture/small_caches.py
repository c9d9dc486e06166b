"""The command with caches that a few edits fill: memory that grows after that is not theirs."""

from typing import Any

from dextr_vos.cli.main import main
from dextr_vos.web.images import BoundedCache

MAX_BYTES = 1_000_000

_make = BoundedCache.__init__


def _make_small(cache: BoundedCache[Any], max_bytes: int, *given: Any) -> None:
    _make(cache, min(max_bytes, MAX_BYTES), *given)


if __name__ == "__main__":
    BoundedCache.__init__ = _make_small  # type: ignore[method-assign]
    main(prog_name="dextr-vos")
