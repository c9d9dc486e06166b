"""Lists of frames, as a person writes them."""

from pathlib import Path

import pytest

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.frame_lists import index_text, parse_frames


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0,3,5", [0, 3, 5]),
        ("first, last", [0, 5]),
        ("middle", [3]),
        ("-1", [5]),
        ("00004,1,1", [1, 4]),
        ("1-3", [1, 2, 3]),
        ("00003 - last, 0", [0, 3, 4, 5]),
        ("-3--2", [3, 4]),
        ("2-2", [2]),
    ],
)
def test_indices_names_and_ranges(tiny_clip: Path, text: str, expected: list[int]) -> None:
    clip = open_clip(tiny_clip)
    assert parse_frames(text, clip.names, clip.path) == expected


@pytest.mark.parametrize("text", ["6", "", "1,,2", "x", "1.5", "-7", "7-9", "1-", "-", "1-2-3"])
def test_what_names_no_frame_is_refused(tiny_clip: Path, text: str) -> None:
    clip = open_clip(tiny_clip)
    with pytest.raises(InputError, match=r"is no frame of .*tiny"):
        parse_frames(text, clip.names, clip.path)


@pytest.mark.parametrize(
    ("text", "turned"), [("3-1", "1-3"), ("0,last-middle", "middle-last"), ("-1 - -3", "-3--1")]
)
def test_a_range_that_ends_before_it_begins_is_turned_round(tiny_clip: Path, text: str, turned: str) -> None:
    clip = open_clip(tiny_clip)
    with pytest.raises(InputError, match=f"the range .* ends before it begins; write {turned}$"):
        parse_frames(text, clip.names, clip.path)


def test_names_with_hyphens() -> None:
    names = ["shot-1", "shot-2", "shot-3"]
    assert parse_frames("shot-2", names, Path("clip")) == [1]
    assert parse_frames("shot-1-shot-2", names, Path("clip")) == [0, 1]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0-20", "did you mean 0-5?"),
        ("2 - 6", "did you mean 2-5?"),
        ("first-6", "did you mean first-5?"),
        ("0,00001-00020", "did you mean 00001-00005?"),
        ("-3-9", "did you mean -3-5?"),
    ],
)
def test_a_range_beyond_the_last_frame_is_cut(tiny_clip: Path, text: str, meant: str) -> None:
    clip = open_clip(tiny_clip)
    with pytest.raises(InputError, match=r"goes beyond the last frame of .*, 0*5; did you mean") as error:
        parse_frames(text, clip.names, clip.path)
    assert str(error.value).endswith(meant)
    assert parse_frames(meant.split()[3].rstrip("?"), clip.names, clip.path)[-1] == 5


def test_an_index_that_is_the_name_of_another_frame_is_written_as_a_name() -> None:
    names = ["1", "2", "3"]
    assert [index_text(index, names) for index in range(3)] == ["0", "2", "3"]
    with pytest.raises(InputError, match="did you mean 0-3"):
        parse_frames("0-7", names, Path("clip"))
