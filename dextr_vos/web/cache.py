"""What was made lately, within a limit of memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedCache(Generic[T]):
    """Values by key; those not asked for longest go first.

    Args:
        most_bytes: what all values together may take.
        size: bytes of a value.
    """

    def __init__(self, most_bytes: int, size: Callable[[T], int]) -> None:
        self._most, self._size = most_bytes, size
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T | None:
        """The value of a key, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Hashable, value: T) -> T:
        """Keep a value; the newest always stays."""
        with self._lock:
            old = self._values.pop(key, None)
            self._bytes += self._size(value) - (0 if old is None else self._size(old))
            self._values[key] = value
            while self._bytes > self._most and len(self._values) > 1:
                _, gone = self._values.popitem(last=False)
                self._bytes -= self._size(gone)
        return value
