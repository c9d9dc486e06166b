"""A cache that is bounded by the bytes of its values: the least recently used ones go first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedCache(Generic[T]):
    """Values by key, safe for threads.

    Args:
        max_bytes: limit on the bytes of all values together; the newest value stays even if it is larger.
        size_of: bytes of a value.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[T], int]) -> None:
        self._max_bytes, self._size_of = max_bytes, size_of
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
        """Store a value under a key and return it."""
        with self._lock:
            replaced = self._values.pop(key, None)
            self._bytes += self._size_of(value) - (0 if replaced is None else self._size_of(replaced))
            self._values[key] = value
            while self._bytes > self._max_bytes and len(self._values) > 1:
                _, evicted = self._values.popitem(last=False)
                self._bytes -= self._size_of(evicted)
        return value

    def get_or_make(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key; made and stored where it is missing. Two threads may make the same value."""
        value = self.get(key)
        return self.put(key, make()) if value is None else value
