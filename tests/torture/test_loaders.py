"""Fuzzing of every loader: whatever is in a file, it is read, or refused in one sentence, quickly.

The damaged files are few here and always the same; `fuzz.py` makes as many as wanted.
"""

import shutil
import time
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torture import fuzz
from torture.loaders import LOADERS, PARTS, changed, write_seeds
from torture.other_values import with_other_numbers, with_other_values

from dextr_vos.errors import DextrVosError

pytestmark = pytest.mark.torture

EXAMPLES = 20
SLOWEST_S = 10.0

# where, how many bytes there go, what comes in their place and how often; None: the bytes themselves
CHANGE = st.tuples(
    st.integers(0, 1 << 20),
    st.sampled_from((0, 1, 1, 4, 64)),
    st.none() | st.binary(max_size=2) | st.sampled_from(PARTS),
    st.sampled_from((1, 1, 2, 50)),
)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Good files, which a test changes; the same lie beside them in `whole`."""
    folder = write_seeds(tmp_path_factory.mktemp("fuzzed") / "seeds")
    shutil.copytree(folder, folder.with_name("whole"))
    return folder


@pytest.mark.parametrize("loader", LOADERS)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(changes=st.lists(CHANGE, min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused_in_a_sentence(seeds, loader, changes):
    whole = _whole(seeds, loader)
    began = time.process_time()  # what other processes take does not count
    assert "\n" not in _said_of(seeds, loader, changed(whole, changes))
    assert time.process_time() - began < SLOWEST_S


@pytest.mark.parametrize("loader", [name for name in LOADERS if not name.endswith("in the page")])
@pytest.mark.parametrize("other", [with_other_numbers, with_other_values])
def test_any_value_in_place_of_another_is_read_or_refused_in_a_sentence(seeds, loader, other):
    whole = _whole(seeds, loader)
    for content in () if b"\0" in whole else other(whole):
        assert "\n" not in _said_of(seeds, loader, content)


def _whole(seeds, loader):
    return (seeds.with_name("whole") / LOADERS[loader].file).read_bytes()


def _said_of(seeds, loader, content):
    """The sentence that refuses a file with this content, or ""."""
    path = seeds / LOADERS[loader].file
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            LOADERS[loader].read(path, seeds)
        return ""
    except DextrVosError as refused:
        return str(refused)
    finally:
        path.write_bytes(_whole(seeds, loader))


def test_an_input_that_takes_too_much_memory_is_a_fault(seeds, monkeypatch):
    (seeds.parent / "faults").mkdir()
    fuzzed = fuzz.Fuzzed("table", seeds.parent, 60.0)
    most = iter(
        [100, 2000, 2000, 2100]
    )  # before and after each input: what tests before this one took counts, too
    monkeypatch.setattr(fuzz, "_memory_mb", lambda: next(most))
    fuzzed.give(fuzzed.whole)
    assert fuzzed.figures["faults"] == []
    fuzzed.give(fuzzed.whole)
    assert [fault.split(":")[0] for fault in fuzzed.figures["faults"]] == ["memory"]


def test_the_loaders_with_the_fewest_inputs_are_the_slow_ones():
    inputs = {"a": 90, "b": 3, "c": 50, "d": 70, "e": 2, "f": 80, "g": 60, "h": 75}
    assert fuzz.slow_loaders(inputs) == {"b", "e"}
    assert fuzz.slow_loaders({"a": 1}) == set()


def test_fewer_inputs_than_asked_for_end_in_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # which the fuzzer sets
    given = ["--minutes", "0", "--folder", str(tmp_path)]
    assert fuzz.main(given) == 0
    assert fuzz.main([*given, "--inputs", "5"]) == 1
    assert "only 0 of 5 inputs" in capsys.readouterr().out
