"""Functions of cvat-sdk's protocols, called as CVAT's agents and its runner call them."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_run import TINY_LITE, train, write_keyframes

cvataa = pytest.importorskip("cvat_sdk.auto_annotation")
from cvat_sdk import models  # noqa: E402
from cvat_sdk.auto_annotation import driver  # noqa: E402
from cvat_sdk.masks import decode_mask, encode_mask  # noqa: E402

from dextr_vos.errors import InputError  # noqa: E402
from dextr_vos.integrations.cvat import detection, interaction, tracking  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
HEIGHT, WIDTH = 48, 64


def picture(index: int) -> Image.Image:
    return Image.fromarray(tiny_frame(index))


def decoded(points) -> np.ndarray:
    return decode_mask(points, image_width=WIDTH, image_height=HEIGHT)


def iou(mask, index: int) -> float:
    truth = tiny_mask(index) == 1
    return (mask & truth).sum() / (mask | truth).sum()


def polygon(index: int) -> list[float]:
    left = 8 + 4 * index
    return [left, 14, left + 18, 14, left + 18, 34, left, 34]


def prompts(positive, negative=(), box=None):
    return SimpleNamespace(pos_points=positive, neg_points=negative, bounding_box=box)


def test_an_interaction_function_makes_a_mask_of_clicks_and_a_box():
    function = interaction.create(device="cpu")
    assert (function.spec.min_pos_points, function.spec.min_neg_points) == (1, 0)
    image = function.preprocess_image(None, picture(0))
    (shape,) = function.detect(None, image, prompts([(17, 24)], [(60, 5)], ((8, 14), (26, 34))))
    assert isinstance(shape, cvataa.InteractionResultShape)
    assert iou(decoded(shape.points), 0) > 0.8


def test_an_interaction_function_of_extreme_points():
    function = interaction.create("grabcut")
    assert function.spec.min_pos_points == 4
    image = function.preprocess_image(None, picture(0))
    (shape,) = function.detect(None, image, prompts([(8, 20), (25, 20), (15, 14), (15, 33)]))
    assert iou(decoded(shape.points), 0) > 0.9
    with pytest.raises(InputError, match="expected at least four"):
        function.detect(None, image, prompts([(8, 20)]))


@pytest.fixture(scope="module")
def tracker():
    return tracking.create(device="cpu")


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("mask", encode_mask(tiny_mask(0) == 1)),
        ("polygon", polygon(0)),
        ("rectangle", [8.0, 14.0, 26.0, 34.0]),
    ],
)
def test_a_shape_is_tracked_and_keeps_its_kind(tracker, kind, points):
    assert kind in tracker.spec.supported_shape_types
    context = SimpleNamespace(original_shape_type=kind)
    first = tracker.preprocess_image(context, picture(0))
    state = tracker.init_tracking_state(context, first, cvataa.TrackableShape(type=kind, points=points))
    for index in (1, 2, 3):
        shape = tracker.track(context, tracker.preprocess_image(context, picture(index)), state)
        assert shape.type == kind
    if kind == "mask":
        assert iou(decoded(shape.points), 3) > 0.8
    else:
        corners = np.reshape(shape.points, (-1, 2))
        assert abs(corners.min(0) - (20, 14)).max() <= 3
        assert abs(corners.max(0) - (38, 34)).max() <= 3


def test_an_object_that_is_gone_is_not_found(tracker):
    context = SimpleNamespace(original_shape_type="mask")
    shape = cvataa.TrackableShape(type="mask", points=encode_mask(tiny_mask(0) == 1))
    state = tracker.init_tracking_state(context, tracker.preprocess_image(context, picture(0)), shape)
    empty = Image.fromarray(np.full((HEIGHT, WIDTH, 3), 30, np.uint8))
    found = [tracker.track(context, tracker.preprocess_image(context, empty), state) for _ in range(3)]
    assert found[-1] is None


class Task:
    """In place of a task on a CVAT server: its labels and images, and what is uploaded."""

    def __init__(self, label: str, indices) -> None:
        self.labels = [
            models.Label._from_openapi_data(id=77, name=label, type="any", attributes=[], sublabels=[])
        ]
        self.samples = [
            SimpleNamespace(
                frame_index=index,
                frame_name=f"{index}.png",
                media=SimpleNamespace(load_image=lambda index=index: picture(index)),
            )
            for index in indices
        ]
        self.uploaded: list = []
        self.client = SimpleNamespace(logger=logging.getLogger("cvat"), tasks=SimpleNamespace(api=self))

    def update_annotations(self, task_id, labeled_data_request):
        self.uploaded += labeled_data_request.shapes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    clip = folder / "clip"
    clip.mkdir()
    for index in range(2):
        picture(index).save(clip / f"{index:05d}.png")
    train(clip, write_keyframes(folder / "keyframes", 0), folder / "run", TINY_LITE, None, max_steps=1)
    return folder / "run"


@pytest.mark.parametrize("polygons", [False, True])
def test_the_objects_of_a_run_are_found_by_the_runner_of_cvat_sdk(run, monkeypatch, polygons):
    function = detection.create(str(run), "cpu")
    task = Task(function.spec.labels[0].name, [1, 2])
    monkeypatch.setattr(driver, "TaskDataset", lambda *_, **__: task)
    cvataa.annotate_task(task.client, 1, function, clear_existing=True, conv_mask_to_poly=polygons)
    assert [shape.frame for shape in task.uploaded] == [1, 2]
    assert {(shape.label_id, shape.type.value) for shape in task.uploaded} == {
        (77, "polygon" if polygons else "mask")
    }
    if not polygons:
        assert iou(decoded(task.uploaded[-1].points), 2) > 0.8


def test_without_a_network_the_sentence_says_what_to_give(tmp_path):
    with pytest.raises(InputError, match="holds no finished run"):
        detection.create(str(tmp_path))
