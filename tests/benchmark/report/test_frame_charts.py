import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from made_results import FRAMES, result

from dextr_vos.benchmark.report.frame_charts import (
    FrameCurve,
    FramePanel,
    cells_chart,
    frame_charts,
    scores_chart,
)
from dextr_vos.benchmark.result import ObjectSeries
from dextr_vos.evaluation.davis import DavisScores, ScoringRules
from dextr_vos.evaluation.scores import ObjectScores


def scores(clips, keyframes=()):
    """An evaluation of clips of six frames; J by object, half of it in the third scored frame."""
    objects = []
    for clip, values in clips.items():
        for object_id, value in enumerate(values, 1):
            j = np.array([value, value, value / 2, value])
            objects.append(ObjectScores(clip, object_id, FRAMES[1:-1], j, j))
    known = dict.fromkeys(clips, keyframes) if keyframes else {}
    return DavisScores(ScoringRules(2017), tuple(objects), (), {}, known, dict.fromkeys(clips, FRAMES))


def drawn(svg, tag):
    return [each for each in ET.fromstring(svg).iter() if each.tag.rpartition("}")[2] == tag]


def points(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


def test_a_clip_is_a_chart_with_its_mean_its_lowest_frame_and_its_keyframes():
    svg = scores_chart(scores({"<dog>": [0.8]}, keyframes=("00000", "00003")))
    (line,) = drawn(svg, "polyline")
    heights = [y for _, y in points(line)]
    assert heights.index(max(heights)) == 2  # y grows downwards
    assert len(set(heights)) == 2
    text = "\n".join(drawn(svg, "svg")[0].itertext())
    assert "<dog>" in text
    assert "J 0.700, lowest 0.40 in 00003" in text
    assert re.findall(r"keyframe (\d+)", text) == ["00000", "00003"]
    assert "Triangles: keyframes." in text


def test_frames_lie_at_their_places_from_the_first_to_the_last():
    """The first and the last frame are not scored: the line ends one step inside the grid."""
    svg = scores_chart(scores({"dog": [0.8]}))
    xs = [x for x, _ in points(drawn(svg, "polyline")[0])]
    grid = drawn(svg, "line")[0]
    step = (float(grid.get("x2")) - float(grid.get("x1"))) / 5
    assert np.diff(xs) == pytest.approx(step, abs=0.11)
    assert xs[0] == pytest.approx(float(grid.get("x1")) + step, abs=0.11)
    assert "Triangles" not in svg


def test_several_objects_are_their_mean_and_a_band_from_lowest_to_highest():
    svg = scores_chart(scores({"walk": [0.2, 0.8]}))
    (line,), (band,) = drawn(svg, "polyline"), drawn(svg, "polygon")
    middle, edge = points(line)[0][1], points(band)
    assert middle == pytest.approx((edge[0][1] + edge[-1][1]) / 2, abs=0.11)
    assert len(edge) == 8
    assert "2 objects, J 0.438" in svg
    assert "band: lowest to highest" in svg


def test_an_object_that_comes_later_counts_from_then_on():
    both = scores({"walk": [0.2, 0.8]})
    late = both.objects[1].select(np.array([False, False, False, True]))
    svg = scores_chart(replace(both, objects=(both.objects[0], late)))
    heights = [y for _, y in points(drawn(svg, "polyline")[0])]
    assert heights[0] == heights[1]
    assert heights[3] < heights[0]


def test_twenty_clips_stand_in_rows_of_four_and_do_not_overlap():
    svg = scores_chart(scores({f"clip-{number:02d}": [0.5] for number in range(20)}))
    moves = [re.findall(r"\d+", each.get("transform")) for each in drawn(svg, "g")]
    places = {(int(x), int(y)) for x, y in moves}
    assert len(places) == 20
    assert len({x for x, _ in places}) == 4
    rows = sorted({y for _, y in places})
    lowest = max(float(each.get("y")) for each in drawn(svg, "text"))
    assert min(np.diff(rows)) > lowest
    assert int(drawn(svg, "svg")[0].get("viewBox").split()[3]) > rows[-1] + lowest


def test_curves_of_a_benchmark_have_colours_dashes_and_a_legend():
    cells = [("drawn", result("dog", "gt", 3, 0.7)), ("DEXTR", result("dog", "dextr", 3, 0.7))]
    svg = cells_chart(cells, 520)
    lines = drawn(svg, "polyline")
    assert [line.get("stroke") for line in lines] == ["var(--gt)", "var(--dextr)"]
    assert lines[0].get("stroke-dasharray") != lines[1].get("stroke-dasharray")
    assert {"drawn", "DEXTR"} <= {each.text for each in drawn(svg, "text")}
    assert svg.count("<title>keyframe") == 3  # the same in both


def test_a_cell_is_the_mean_of_its_objects():
    two = tuple(ObjectSeries(object=k, j=(value,) * 4, f=(0.0,) * 4) for k, value in ((1, 0.2), (2, 0.6)))
    svg = cells_chart([("drawn", result("dog", "gt", 1, 0.5).model_copy(update={"objects": two}))], 520)
    (line,) = drawn(svg, "polyline")
    zero, _, one = (float(each.get("y1")) for each in drawn(svg, "line"))
    assert points(line)[0][1] == pytest.approx(zero + 0.4 * (one - zero), abs=0.11)


def test_curves_with_keyframes_of_their_own_have_a_row_of_marks_each():
    curves = [FrameCurve("one", "red", {1: 0.5}, [0]), FrameCurve("two", "blue", {1: 0.7}, [0, 3])]
    svg = frame_charts([FramePanel("dog", "", FRAMES, curves)], 4, 300)
    marks = [each for each in drawn(svg, "path") if each.get("fill") in ("red", "blue")]
    assert [each.get("fill") for each in marks] == ["red", "blue", "blue"]
    assert len({each.get("d").split()[1] for each in marks}) == 2


def test_a_long_legend_goes_on_in_the_next_row_and_moves_the_curves_down():
    def legend_and_top(count):
        curves = [FrameCurve(f"a label of some length {k}", "red", {1: 0.5}) for k in range(count)]
        svg = frame_charts([FramePanel("dog", "", FRAMES, curves)], 1, 300)
        labels = [each for each in drawn(svg, "text") if "length" in (each.text or "")]
        return max(float(each.get("y")) for each in labels), float(drawn(svg, "line")[2].get("y1"))

    few, many = legend_and_top(2), legend_and_top(6)
    assert few[0] < few[1] < many[1]
    assert many[0] < many[1]
