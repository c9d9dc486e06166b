"""Regions of Label Studio in percent become prompts in pixels."""

import numpy as np
import pytest

from dextr_vos.annotation.prompts import Click
from dextr_vos.errors import InputError
from dextr_vos.export.formats.run_lengths import label_studio_rle
from dextr_vos.integrations.label_studio.labeling import Labeling, Region, check_regions, prompt_of

SIZE_HW = (50, 200)
CONFIGURATION = """<View>
  <Header value="Click"/>
  <Image name="img" value="$frame"/>
  <KeyPointLabels name="clicks" toName="img" smart="true"><Label value="dog"/></KeyPointLabels>
  <BrushLabels name="mask" toName="img"><Label value="dog"/><Label value="cat"/></BrushLabels>
</View>"""


def point(x, y, tag="clicks", **region) -> Region:
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": ["dog"]}
    return Region.model_validate({"type": "keypointlabels", "from_name": tag, "value": value, **region})


def test_the_tags_of_a_configuration():
    labeling = Labeling.parse(CONFIGURATION)
    assert (labeling.brush, labeling.image, labeling.key) == ("mask", "img", "frame")
    assert labeling.label_of([point(1, 1)]) == "dog"


def test_points_are_the_pixels_under_them_and_alt_is_negative():
    prompt = prompt_of([point(0, 0), point(50.3, 99.9, is_positive=False), point(100, 100)], SIZE_HW)
    assert prompt.clicks == (Click(0, 0, True), Click(100, 49, False), Click(199, 49, True))
    assert prompt.points_xy is None


def test_a_rectangle_is_the_pixels_it_touches():
    value = {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["dog"]}
    region = Region.model_validate({"type": "rectanglelabels", "from_name": "boxes", "value": value})
    assert prompt_of([region], SIZE_HW).box_xyxy == (20, 10, 79, 29)


def test_four_points_of_the_tag_of_extreme_points_are_needed():
    corners = [point(10, 50, "extremes"), point(90, 50, "extremes"), point(50, 10, "extremes")]
    assert prompt_of(corners, SIZE_HW) is None
    prompt = prompt_of([*corners, point(50, 90, "extremes"), point(50, 50)], SIZE_HW)
    assert prompt.points_xy.tolist() == [[20, 25], [180, 25], [100, 5], [100, 45]]
    assert prompt.clicks == (Click(100, 25, True),)


def test_strokes_together_are_the_mask_to_correct():
    strokes = []
    for column in (3, 60):
        mask = np.zeros(SIZE_HW, bool)
        mask[5:20, column : column + 30] = True
        value = {"format": "rle", "rle": label_studio_rle(mask), "brushlabels": ["dog"]}
        strokes.append(Region.model_validate({"type": "brushlabels", "value": value}))
    assert prompt_of(strokes, SIZE_HW).mask.sum() == 2 * 15 * 30
    with pytest.raises(InputError, match="the brush stroke cannot be read"):
        prompt_of(strokes, (50, 100))


def test_a_negative_click_alone_makes_no_mask():
    assert prompt_of([point(5, 5, is_positive=False)], SIZE_HW) is None


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        ("<View>", "is not XML"),
        ('<View><Image name="img" value="$a"/></View>', "has no BrushLabels on an Image"),
        (
            '<View><Image name="a"/><BrushLabels name="b" toName="c"/></View>',
            "has no BrushLabels on an Image",
        ),
    ],
)
def test_a_configuration_without_a_brush_is_refused(configuration, sentence):
    with pytest.raises(InputError, match=sentence):
        Labeling.parse(configuration)


def test_regions_that_cannot_be_used_are_refused():
    labeling = Labeling.parse(CONFIGURATION)
    unlabelled = point(1, 1)
    unlabelled.value.keypointlabels = ["horse"]
    with pytest.raises(InputError, match=r"'horse' .* 'mask': cat, dog"):
        labeling.label_of([unlabelled])
    with pytest.raises(InputError, match="type ellipselabels"):
        check_regions([Region.model_validate({"type": "ellipselabels", "value": {}})])
    with pytest.raises(InputError, match="rotated"):
        check_regions([point(1, 1, image_rotation=90)])
