"""Files with another value in place of one of theirs, which damage to single bytes hardly ever makes."""

import copy
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_MOST = 40  # places in a file
# infinite, more digits than a float has, more than 64 bits, of another kind
_NOT_THE_NUMBER = (
    *(b"1e999", b"-1e999", b"NaN", b"1" + b"0" * 400, b"-1" + b"0" * 400, b"1" + b"0" * 20, b"1e308"),
    *(b"-1", b"0.5", b"null", b"true", b'""', b"[]", b"{}"),
)
_NUMBER = re.compile(rb'(?<![\w."#-])-?\d+(\.\d+)?(?![\w."])')
_NOT_THE_VALUE = (None, True, -1, 10**400, math.inf, "", "x", "\ud800", [], [[]], ["x", "x"], {}, {"": None})

Place = tuple[Any, ...]


def with_other_numbers(content: bytes) -> Iterator[bytes]:
    """A text with another value in place of each of its first numbers, one at a time."""
    for found in list(_NUMBER.finditer(content))[:_MOST]:
        for value in _NOT_THE_NUMBER:
            yield content[: found.start()] + value + content[found.end() :]


def with_other_values(content: bytes) -> Iterator[bytes]:
    """JSON, lines of JSON, or YAML, with another value in place of each of its first, or without it."""
    documents = _documents(content)
    for number, document in enumerate(documents):
        for other in _with_other_values(document):
            yield _text([*documents[:number], other, *documents[number + 1 :]])


def _documents(content: bytes) -> list[Any]:
    """The document of a file, or of each line; none of a file of another kind."""
    try:
        return [json.loads(content)]
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in content.splitlines()]
    except ValueError:
        pass
    try:
        loaded = json.loads(json.dumps(YAML(typ="safe").load(content)))
    except (YAMLError, TypeError, ValueError):
        return []
    return [loaded] if isinstance(loaded, dict | list) else []


def _text(documents: list[Any]) -> bytes:
    """As JSON, which is YAML, too."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


def _with_other_values(document: Any) -> Iterator[Any]:
    yield from _NOT_THE_VALUE
    for place in list(_places(document))[:_MOST]:
        for value in _NOT_THE_VALUE:
            other, parent = _copied(document, place)
            parent[place[-1]] = value
            yield other
        other, parent = _copied(document, place)
        del parent[place[-1]]
        yield other


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*place, key))


def _copied(document: Any, place: Place) -> tuple[Any, Any]:
    """A copy, and what in it holds the value at a place."""
    other = parent = copy.deepcopy(document)
    for key in place[:-1]:
        parent = parent[key]
    return other, parent
