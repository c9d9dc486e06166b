import json
import stat
from pathlib import Path

import pytest

from dextr_vos.config import top_level_value
from dextr_vos.datasets.layout import read_list
from dextr_vos.errors import InputError
from dextr_vos.export.formats.labelled import read_label_set
from dextr_vos.export.page import read_scores
from dextr_vos.files import atomic_path, read_json, read_text, write_text
from dextr_vos.run_files import keyframe_names
from dextr_vos.web.image_folder.files import FORMAT, ProgressFile


def test_a_file_takes_its_place_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "one")
    write_text(path, "zwei ä")
    assert path.read_text(encoding="utf-8") == "zwei ä"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_files_are_as_readable_as_others(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_texts_of_windows_programs_are_read(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_bytes('{"ä": [1,\r\n2]}\r\n'.encode(encoding))
    assert read_text(path) == '{"ä": [1,\n2]}\n'
    assert read_json(path) == {"ä": [1, 2]}


FIGURES = dict.fromkeys(("mean", "recall", "decay"), 1.0)
SCORES = {"all_frames": {"objects": {"ä": {"J": FIGURES, "F": FIGURES}}}}
PROGRESS = {"format": FORMAT, "images": {"a.png": "done"}}
READERS = {
    "JSON": (read_json, "{}"),
    "label set": (read_label_set, "Hündchen\n"),
    "progress": (
        lambda path: ProgressFile(path).known(),
        f'{{"format": "{FORMAT}", "images": {{"ä.png": "done"}}}}',
    ),
    "split list": (read_list, "ä\n"),
    "settings": (lambda path: top_level_value(path, "root"), "root: ä\n"),
    "scores": (read_scores, json.dumps(SCORES, ensure_ascii=False)),
    "record": (keyframe_names, '{"keyframes": ["ä"]}'),
}


@pytest.mark.parametrize("kind", READERS)
def test_every_kind_of_text_file_is_read_in_utf_16(tmp_path, kind):
    read, text = READERS[kind]
    paths = [tmp_path / f"{encoding}.txt" for encoding in ("utf-8", "utf-8-sig", "utf-16")]
    for path in paths:
        path.write_bytes(text.encode(path.stem))
    first, *others = map(read, paths)
    assert first or kind == "JSON"
    assert others == [first, first]


@pytest.mark.parametrize("content", [b"\xff\xfea", b"a\xffb"])
@pytest.mark.parametrize("read", [read_text, read_json, read_label_set])
def test_what_is_no_text_is_refused(tmp_path, content, read):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json is not a text file; expected text in UTF-8 or UTF-16"):
        read(tmp_path / "a.json")
