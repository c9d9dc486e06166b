"""The one reader of YAML (1.2): bounds size, depth and aliases before it makes values of a text.

A text of a few hundred bytes may stand for billions of values, and libraries raise errors of many kinds.
"""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node

from dextr_vos.errors import ConfigError

# settings of today take up a tenth of each at most
MAX_CHARACTERS = 100_000
MAX_DEPTH = 40
MAX_VALUES = 20_000


def parse_yaml(text: str, where: str) -> tuple[Any, Node | None]:
    """Read a YAML text.

    Args:
        text: one document, or nothing.
        where: its source, for the message.

    Returns:
        The values, and the nodes with their line numbers; None where there are none.

    Raises:
        ConfigError: it is no YAML, has a duplicate key or a value that cannot be, or is too large.
    """
    try:
        if len(text) > MAX_CHARACTERS:
            raise ConfigError(f"{where} has {len(text)} characters, expected at most {MAX_CHARACTERS}")
        _check_depth(text, where)
        root = YAML(typ="safe", pure=True).compose(text)
        if root is not None and _count(root, {}) > MAX_VALUES:
            raise ConfigError(f"{where}: expected at most {MAX_VALUES} values, counting aliases, got more")
        return YAML(typ="safe", pure=True).load(text), root
    except ConfigError:
        raise
    except Exception as error:  # constructors of values raise whatever int, float and datetime do
        raise ConfigError(_description(error, where)) from None


def _check_depth(text: str, where: str) -> None:
    brackets = 0  # those in strings, too: this only keeps the parser from looking ahead over thousands
    for sign in text:
        brackets = max(0, brackets + (sign in "[{") - (sign in "]}"))
        if brackets > 5 * MAX_DEPTH:
            raise ConfigError(f"{where}: expected at most {MAX_DEPTH} lists inside one another, got more")
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConfigError(
                f"{where} line {event.start_mark.line + 1}: expected at most {MAX_DEPTH} groups and lists "
                "inside one another, got more"
            )


def _count(node: Node, known: dict[int, int]) -> int:
    """Number of values where each alias is written out; beyond the limit where one contains itself."""
    if id(node) not in known:
        known[id(node)] = MAX_VALUES
        children = node.value if isinstance(node, CollectionNode) else []
        if isinstance(node, MappingNode):
            children = [each for pair in children for each in pair]
        known[id(node)] = 1 + sum(_count(each, known) for each in children)
    return known[id(node)]


def _description(error: Exception, where: str) -> str:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    line = f" line {mark.line + 1}" if mark else ""
    # ruamel adds a paragraph on how to allow what it refuses
    problem = (error.problem if isinstance(error, MarkedYAMLError) else None) or str(error)
    lines = problem.strip().splitlines() or [type(error).__name__]
    what = lines[0].partition(" with value")[0] if isinstance(error, YAMLError) else lines[0]
    return f"{where}{line}: cannot be read as YAML: {what}"
