import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dextr_vos.annotation.annotations import annotations_from, save_annotations
from dextr_vos.annotation.clicks import read_clicks
from dextr_vos.annotation.prompts import check_points
from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError

POINTS = [[8, 20], [25, 22], [16, 14], [17, 33]]


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "clicks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


class TestShortForm:
    def test_points_objects_and_absent_objects(self, tiny_clip: Path, tmp_path: Path) -> None:
        five = [*POINTS, [16, 20]]
        path = write(tmp_path, {"00000": [POINTS, five], "00003": [None, POINTS], "00005": []})
        annotations = read_clicks(path, open_clip(tiny_clip))
        assert [entry.id for entry in annotations.objects] == [1, 2]
        assert annotations.keyframes["00000"].objects[2].points_xy().tolist() == five
        assert list(annotations.keyframes["00003"].objects) == [2]
        assert annotations.keyframes["00005"].objects == {}
        assert {point.origin for point in annotations.keyframes["00000"].objects[1].points} == {"file"}

    def test_an_object_may_say_each_kind_of_point(self, tiny_clip: Path, tmp_path: Path) -> None:
        content = {"extreme": POINTS, "positive": [[16, 20]], "negative": [[40, 5]]}
        path = write(tmp_path, {"00000": [content, {"box": [8.4, 14, 25, 33]}, {"positive": [[16, 20]]}]})
        objects = read_clicks(path, open_clip(tiny_clip)).keyframes["00000"].objects
        prompt = objects[1].prompt()
        assert prompt.points_xy is not None
        assert prompt.points_xy.tolist() == POINTS
        assert prompt.clicks == ((16, 20, True), (40, 5, False))
        assert [point.kind for point in objects[1].points] == ["extreme"] * 4 + ["positive", "negative"]
        assert objects[2].prompt().box_xyxy == (8, 14, 25, 33)
        assert objects[3].prompt().points_xy is None

    def test_fractions_are_rounded(self, tiny_clip: Path, tmp_path: Path) -> None:
        path = write(tmp_path, {"00000": [[[7.6, 20.2], [25, 22], [16, 14], [17, 33]]]})
        points = read_clicks(path, open_clip(tiny_clip)).keyframes["00000"].objects[1].points_xy()
        assert points[0].tolist() == [8, 20]

    def test_a_fraction_at_the_border_is_on_the_border_pixel(self, tiny_clip: Path, tmp_path: Path) -> None:
        points = [[-0.4, 20], [63.6, 22], [16, 0.2], [17, 48.0]]
        path = write(tmp_path, {"00000": [points, {"box": [-0.7, 0.1, 63.9, 47.6]}]})
        objects = read_clicks(path, open_clip(tiny_clip)).keyframes["00000"].objects
        assert objects[1].points_xy().tolist() == [[0, 20], [63, 22], [16, 0], [17, 47]]
        assert objects[2].prompt().box_xyxy == (0, 0, 63, 47)
        with pytest.raises(InputError, match="outside the 64×48 image"):
            read_clicks(write(tmp_path, {"00000": [[*points, [66.5, 20]]]}), open_clip(tiny_clip))

    def test_two_opposite_corners_make_a_box_in_any_order(self, tiny_clip: Path, tmp_path: Path) -> None:
        for corners in ([4, 5, 20, 30], [20, 30, 4, 5], [20, 5, 4, 30]):
            read = read_clicks(write(tmp_path, {"00000": [{"box": corners}]}), open_clip(tiny_clip))
            assert read.keyframes["00000"].objects[1].prompt().box_xyxy == (4, 5, 20, 30)

    def test_names_of_another_unicode_form_are_those_of_the_clip(
        self, tiny_clip: Path, tmp_path: Path
    ) -> None:
        (tiny_clip / "00000.png").rename(tiny_clip / "0a\u0308.png")
        clip = open_clip(tiny_clip)
        for name in ("0\xe4", "0a\u0308"):
            short = read_clicks(write(tmp_path, {name: [POINTS]}), clip)
            assert list(short.keyframes) == ["0\xe4"]
            full = annotations_from({name: {1: np.array(POINTS)}}, origin="file")
            save_annotations(tmp_path / "full.json", full)
            assert list(read_clicks(tmp_path / "full.json", clip).keyframes) == ["0\xe4"]

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("{", r"clicks\.json is not valid JSON: .* at line 1, column 2"),
            ('{"00000": [], "00000": []}', r"cannot be read as JSON: the key '00000' is there twice"),
            ("[" * 100_000, r"cannot be read as JSON"),
            ("[]", r"expected an object that maps frame names"),
            ({}, r"expected an object that maps frame names"),
            (
                {"7": [POINTS]},
                r"clicks\.json: .* has no frame '7'; its 6 frames are called '00000' to '00005'",
            ),
            ({"0": [POINTS]}, r"has no frame '0'; did you mean '00000'\?"),
            ({"00000.png": [POINTS]}, r"has no frame '00000\.png'; did you mean '00000'\?"),
            ({"00000": POINTS}, r"got the number 8; is a pair of brackets missing\?"),
            ({"00000": POINTS[0][0]}, r"frame '00000': expected a list with one list of points per object$"),
            (
                {"00000": {"extreme": POINTS}},
                r'list of points per object; put it into brackets: \[\{"extreme": …\}\]$',
            ),
            ({"00000": {"points": POINTS}}, r"expected a list with one list of points per object$"),
            ({"00000": [None] * 255}, r"frame '00000': 255 objects, expected at most 254"),
            ({"00000": [5]}, r"frame '00000', object 1: expected a list of points .*, got 5"),
            ({"00000": [POINTS, [[1, 2, 3]]]}, r"object 2, point 1: expected \[x, y\] .*got \[1, 2, 3\]"),
            ({"00000": [[["a", 2]]]}, r"object 1, point 1: expected \[x, y\]"),
            ({"00000": [[[True, 2]]]}, r"object 1, point 1: expected \[x, y\]"),
            ('{"00000": [[[NaN, 2]]]}', r"object 1, point 1: expected \[x, y\]"),
            ('{"00000": [[[1e999, 2]]]}', r"object 1, point 1: expected \[x, y\]"),
            ({"00000": [POINTS[:3]]}, r"frame '00000', object 1: 3 points, expected at least four"),
            ({"00000": [{}]}, r"object 1: expected the keys extreme, positive, negative, box, got none"),
            ({"00000": [{"points": POINTS}]}, r"expected the keys .*, got 'points'"),
            ({"00000": [{"box": [1, 2, 3]}]}, r"expected the box as \[x0, y0, x1, y1\]"),
            ({"00000": [{"box": [1, 2, 3, 99]}]}, r"corners of the box, point 2: \(3, 99\) is outside"),
            (
                {"00000": [{"box": [-5, 2, 9, 9]}]},
                r"corners of the box, point 1: \(-5, 2\) is outside the 64×48",
            ),
            ({"00000": [{"box": [1, 2, 2, 9]}]}, r"span a box of 2×8 px, .* draw it around the object"),
            ({"00000": [{"negative": [[1, 2]]}]}, r"a box, or at least one positive click on the object"),
            ({"00000": [{"positive": [[1]]}]}, r"object 1, positive, point 1: expected \[x, y\]"),
            ({"00000": [[]]}, r"object 1: 0 points, expected at least four; write null"),
            (
                {"00000": [POINTS, [*POINTS, [64, 5]]]},
                r"frame '00000', object 2, point 5: \(64, 5\) is outside the 64×48 image",
            ),
            ({"00000": [[[-1, 20], *POINTS[1:]]]}, r"object 1, point 1: \(-1, 20\) is outside"),
            ({"00000": [[[5, 5], [6, 9], [5, 20], [6, 30]]]}, r"object 1: the points span a box of 2×26 px"),
        ],
    )
    def test_errors_say_where(self, tiny_clip: Path, tmp_path: Path, content: Any, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            read_clicks(write(tmp_path, content), open_clip(tiny_clip))

    def test_missing_file_and_folder(self, tiny_clip: Path, tmp_path: Path) -> None:
        clip = open_clip(tiny_clip)
        with pytest.raises(InputError, match=r"there is no file .*none\.json"):
            read_clicks(tmp_path / "none.json", clip)
        with pytest.raises(InputError, match="is a folder; expected a JSON file"):
            read_clicks(tiny_clip, clip)
        with pytest.raises(InputError, match="is not a text file"):
            read_clicks(tiny_clip / "00000.png", clip)


class TestFullForm:
    def test_names_times_and_origins_are_kept(self, tiny_clip: Path, tmp_path: Path) -> None:
        document = annotations_from({"00002": {3: np.array(POINTS)}}, origin="human")
        save_annotations(tmp_path / "a.json", document)
        assert read_clicks(tmp_path / "a.json", open_clip(tiny_clip)) == document

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"format": "labelme"}, "is of format 'labelme', expected 'dextr-vos annotations'"),
            ({"version": 3}, "is of version 3, expected 2"),
            (
                {
                    "keyframes": {
                        "00002": {
                            "objects": {
                                "3": {
                                    "points": [
                                        {
                                            "x": 10**25,
                                            "y": 0,
                                            "time": "2026-01-01T00:00:00Z",
                                            "origin": "human",
                                        }
                                    ]
                                }
                            }
                        }
                    }
                },
                r"points → 0 → x: ",
            ),
            (
                {
                    "keyframes": {
                        "00002": {
                            "objects": {
                                "3": {"points": [{"x": 1, "y": 0, "time": "yesterday", "origin": "human"}]}
                            }
                        }
                    }
                },
                r"points → 0 → time: .*Invalid isoformat",
            ),
            ({"colour": 1}, "at colour: Extra inputs"),
            ({"objects": []}, r"keyframe '00002' clicks object 3, which 'objects' does not list"),
            ({"objects": [{"id": 0, "name": "x"}]}, r"at objects → 0 → id: .* greater than or equal to 1"),
            (
                {"keyframes": {"00002": {"objects": {"3": {"points": []}}}}},
                r"object 3: expected four extreme points, a box",
            ),
        ],
    )
    def test_errors_say_where(
        self, tiny_clip: Path, tmp_path: Path, change: dict[str, Any], sentence: str
    ) -> None:
        document = annotations_from({"00002": {3: np.array(POINTS)}}, origin="human")
        path = write(tmp_path, {**json.loads(document.model_dump_json()), **change})
        with pytest.raises(InputError, match=sentence):
            read_clicks(path, open_clip(tiny_clip))


@pytest.mark.parametrize("size", [(3, 3), (3, 20), (20, 3)])
def test_three_pixels_are_enough(size: tuple[int, int]) -> None:
    width, height = size
    points = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)])
    check_points(points, (48, 64), "here")
