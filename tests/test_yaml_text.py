from itertools import pairwise

import pytest

from dextr_vos.errors import ConfigError
from dextr_vos.yaml_text import MAX_CHARACTERS, MAX_DEPTH, parse_yaml

LEVELS = "abcdefghi"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]\n" for before, one in pairwise(LEVELS)
)
MERGE_BOMB = BOMB.replace("[x, x, x, x, x, x, x, x, x]", "{x: 1}").replace(": &b [", ": &b\n  <<: [")


def test_values_aliases_and_merges_are_read():
    text = "base: &base {a: 1, b: [2, x]}\nother: {<<: *base, a: 3}\nagain: *base"
    base = {"a": 1, "b": [2, "x"]}
    assert parse_yaml(text, "x.yaml")[0] == {"base": base, "other": base | {"a": 3}, "again": base}
    assert parse_yaml("# nothing", "x.yaml") == (None, None)
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, "x.yaml")[0]


@pytest.mark.parametrize(
    "text",
    [
        *("a: 2026-13-45", "a: !!int x", "a: !!float x", "a: !!timestamp x", "a: 2026-01-01 99:00:00"),
        *("a: " + "9" * 5000, "a: !!bool x", "a: !!omap [1]", "? {a: 1}\n: 2"),
        *(
            "[" * 90_000,
            "a: " + "{a: " * 5000,
            "- " * 5000,
            "a: &x [*x]",
            "a: *nothing",
            "a: \0",
            "a: !!map x",
        ),
        *(BOMB, MERGE_BOMB, "a: " + "x" * MAX_CHARACTERS, "---\na\n---\nb"),
    ],
    ids=lambda text: text[:16],
)
def test_whatever_cannot_be_read_is_one_sentence(text):
    with pytest.raises(ConfigError, match=r"^x\.yaml") as error:
        parse_yaml(text, "x.yaml")
    assert "\n" not in str(error.value)
