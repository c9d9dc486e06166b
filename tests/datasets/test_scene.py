import numpy as np
import pytest

from dextr_vos.datasets.compose import Layer
from dextr_vos.datasets.objects import Example, ObjectRef
from dextr_vos.datasets.scene import Scene, compose_scene

GREEN, RED = (0, 200, 0), (200, 0, 0)


def picture(colour: tuple[int, int, int], size_hw: tuple[int, int] = (60, 90)) -> Layer:
    """A coloured disk on grey."""
    rows, columns = np.indices(size_hw)
    mask = (rows - 30) ** 2 + (columns - 40) ** 2 < 15**2
    image = np.full((*size_hw, 3), 128, dtype=np.uint8)
    image[mask] = colour
    return Layer(image, mask, np.zeros(size_hw, dtype=bool))


def draw(_: np.random.Generator) -> Example:
    layer = picture(RED)
    return Example(ObjectRef("p", 0, "disk", int(layer.mask.sum())), layer.image_rgb, layer.mask, layer.void)


@pytest.mark.parametrize("size_hw", [(48, 64), (33, 97), (96, 32)])
def test_a_scene_has_its_size_and_follows_from_the_generator(size_hw: tuple[int, int]) -> None:
    how = Scene(size_hw=size_hw, paste=0.7)
    first, again, other = (
        compose_scene(picture(GREEN), draw, how, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert first.image_rgb.shape == (*size_hw, 3)
    assert first.image_rgb.dtype == np.uint8
    assert first.mask.shape == first.void.shape == size_hw
    assert first.mask.dtype == first.void.dtype == np.bool_
    assert np.array_equal(first.image_rgb, again.image_rgb)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.image_rgb, other.image_rgb)
    assert not (first.mask & first.void).any()


def test_the_mask_moves_with_the_picture() -> None:
    how = Scene(size_hw=(60, 90), paste=0.0)
    for seed in range(20):
        scene = compose_scene(picture(GREEN), draw, how, np.random.default_rng(seed))
        green = scene.image_rgb[..., 1].astype(int) - scene.image_rgb[..., 0]
        if scene.mask.sum() > 200 and green.max() > 60:  # some scenes are grey, or look past the disk
            inside, outside = green[scene.mask].mean(), green[~scene.mask].mean()
            assert inside > outside + 40


def test_pasted_objects_are_foreground_and_hide_void() -> None:
    empty = picture(GREEN)
    empty = Layer(empty.image_rgb, np.zeros_like(empty.mask), np.ones_like(empty.void))
    how = Scene(size_hw=(60, 90), paste=0.9)
    scenes = [compose_scene(empty, draw, how, np.random.default_rng(seed)) for seed in range(10)]
    assert sum(scene.mask.any() for scene in scenes) >= 7
    assert not any((scene.mask & scene.void).any() for scene in scenes)


def test_nothing_pasted_nothing_found() -> None:
    empty = picture(GREEN)
    empty = Layer(empty.image_rgb, np.zeros_like(empty.mask), empty.void)
    how = Scene(size_hw=(60, 90), paste=0.0)
    assert not compose_scene(empty, draw, how, np.random.default_rng(0)).mask.any()
