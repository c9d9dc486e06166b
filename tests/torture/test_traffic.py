"""What a soak says of a server's memory, handles and threads over time."""

import pytest
from torture.traffic import MOST_GROWTH, growth

SAMPLE = {"minute": 0.0, "edits": 0, "memory_mb": 100.0, "handles": 8, "threads": 4}


def _samples(name, values):
    return [SAMPLE | {name: value} for value in values]


@pytest.mark.parametrize(("name", "most"), MOST_GROWTH.items())
def test_what_grows_in_the_second_half_of_a_soak_is_a_fault(name, most):
    faults = growth(_samples(name, (10, 100, 100, 100 + most + 1)))
    assert len(faults) == 1
    assert faults[0].startswith(f"{name} grew from 100 to {100 + most + 1}")


@pytest.mark.parametrize(("name", "most"), MOST_GROWTH.items())
def test_what_grows_only_in_the_first_half_or_a_little_is_none(name, most):
    assert growth(_samples(name, (10, 500, 1000, 1000 + most))) == []
    assert growth(_samples(name, (1000, 1000, 10, 10 + most))) == []
    assert growth([SAMPLE]) == []
