from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_commands import make_lite_small
from tiny_datasets import make_voc
from tiny_training import ended, start_world
from torch import Tensor, nn

from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.frame_sequences import SequenceRecipe
from dextr_vos.datasets.instances import Concat, Example, ObjectRef
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Motion
from dextr_vos.datasets.photometric import PhotometricAugmentation
from dextr_vos.errors import InputError
from dextr_vos.networks.lite_tracker import lite_input
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.parent import ParentSettings, train_parent
from dextr_vos.training.tracker_task import SequenceSamples, TrackerTask, joined

NO_LIGHT = PhotometricAugmentation(light=0.0, tint=0.0, grey=0.0, blur=0.0, noise=0.0, codec=0.0)
# the image itself, at a distance
PLAIN = SceneRecipe(
    own=1.0,
    others=0.0,
    sprite=CopyPaste(photometric=NO_LIGHT),
    motion=Motion(light=0.0, photometric=NO_LIGHT),
)
RECIPE = SequenceRecipe(photometric=NO_LIGHT, sharpness=NO_LIGHT)
SIZE_HW = (32, 48)


class Squares:
    """Images with one green square each; the red of the background says which it is."""

    blue = 40

    def __init__(self, count: int) -> None:
        self.refs = [ObjectRef(str(index), 0, "square", 400) for index in range(count)]

    def read(self, index: int) -> Example:
        image = np.full((50, 70, 3), (20 * index, 0, self.blue), np.uint8)
        mask = np.zeros((50, 70), dtype=bool)
        mask[15:35, 25:45] = True
        image[mask] = (0, 220, self.blue)
        return Example(self.refs[index], image, mask, np.zeros_like(mask))


class Clip(Squares):
    """The same as frames of a clip, in which nothing moves; its blue says which clip it is."""

    def __init__(self, count: int, blue: int, objects: int = 1) -> None:
        super().__init__(count)
        self.blue = blue
        self.refs = [
            ObjectRef(f"{blue}/{index}", number, "square", 400)
            for index in range(count)
            for number in range(objects)
        ]

    def read(self, index: int) -> Example:
        return replace(super().read(0), ref=self.refs[index])


def samples_of(
    *clips: Clip,
    images: int = 5,
    weights: Sequence[float] = (),
    rendered: float = 0.5,
    sizes_hw: Sequence[tuple[int, int]] = (SIZE_HW,),
    scene: SceneRecipe = PLAIN,
    recipe: SequenceRecipe = RECIPE,
    corruption: MaskCorruption | None = None,
    seed: int = 3,
) -> SequenceSamples:
    return SequenceSamples(
        clips,
        weights or [1.0] * len(clips),
        joined([Squares(images)]),
        SampleOrder([images], [1.0], seed) if images else None,
        rendered,
        sizes_hw,
        2,
        recipe,
        scene,
        corruption or MaskCorruption(),
        seed,
    )


def blues(samples: SequenceSamples, count: int) -> list[int]:
    """Where the sequences at the first positions come from."""
    return [round(float(samples[position]["frames"][..., 2].median())) for position in range(count)]


def test_a_sample_is_a_function_of_seed_and_position() -> None:
    recipe, scene = SequenceRecipe(), SceneRecipe(own=0.5)
    samples, again, other = (
        samples_of(Clip(9, 120), recipe=recipe, scene=scene, seed=seed) for seed in (3, 3, 4)
    )
    backwards = [again[position] for position in reversed(range(12))][::-1]
    for position in range(12):
        sample, same = samples[position], backwards[position]
        assert all(torch.equal(sample[key], same[key]) for key in sample)
        assert {key: tuple(tensor.shape) for key, tensor in sample.items()} == {
            "frames": (1 + recipe.length, *SIZE_HW, 3),
            "known_mask": (1, *SIZE_HW),
            "guide": (1, *SIZE_HW),
            "flows": (recipe.length - 1, 2, SIZE_HW[0] // 2, SIZE_HW[1] // 2),
            "target": (recipe.length, *SIZE_HW),
            "void": (recipe.length, *SIZE_HW),
        }
        assert not torch.equal(sample["frames"], other[position]["frames"])
    assert len({samples[position]["frames"].numpy().tobytes() for position in range(12)}) == 12


def test_all_samples_of_a_step_have_the_same_size() -> None:
    sizes = [(32, 48), (48, 32)]
    samples = samples_of(Clip(9, 120), sizes_hw=sizes)
    shown = [tuple(samples[position]["frames"].shape[1:3]) for position in range(12)]
    assert shown == [sizes[position // 2 % 2] for position in range(12)]


def test_sequences_come_from_clips_and_images_as_asked_for() -> None:
    clip = Clip(9, 120)
    assert blues(samples_of(clip, rendered=0.0), 10) == [120] * 10
    assert blues(samples_of(clip, rendered=1.0), 10) == [40] * 10
    assert 10 < blues(samples_of(clip, rendered=0.5), 40).count(40) < 30
    # where there is only one kind, the share does not count
    assert blues(samples_of(rendered=0.0), 5) == [40] * 5
    assert blues(samples_of(clip, images=0, rendered=1.0), 5) == [120] * 5


def test_clips_are_seen_by_their_weight_and_their_objects() -> None:
    seen = blues(samples_of(Clip(9, 120), Clip(20, 200), images=0, weights=(4.0, 1.0)), 100)
    assert 65 < seen.count(120) < 92
    seen = blues(samples_of(Clip(9, 120, objects=4), Clip(20, 200), images=0), 100)
    assert 65 < seen.count(120) < 92


def test_without_clips_and_images_there_is_nothing_to_learn_from() -> None:
    for clips in ([], [Clip(1, 120)]):
        with pytest.raises(InputError, match="there is no object to train on"):
            samples_of(*clips, images=0)


def test_sets_without_an_object_are_none() -> None:
    assert joined([Squares(0)]) is None
    assert joined([]) is None
    both = joined([Squares(2), Squares(0), Squares(1)])
    assert isinstance(both, Concat)
    assert len(both.refs) == 3


def test_all_frames_show_the_object_whose_turn_it_is() -> None:
    samples, order = samples_of(), SampleOrder([5], [1.0], 3)
    for position in range(10):
        sample = {key: tensor.numpy() for key, tensor in samples[position].items()}
        for shown, target in zip(sample["frames"][1:].astype(int), sample["target"], strict=True):
            assert target.any()
            green = shown[..., 1] > 110
            assert (green != target).mean() < 0.06
            assert abs(np.median(shown[..., 0][~green]) - 20 * order.at(position)) <= 2
        assert not np.array_equal(sample["frames"][0], sample["frames"][1])


def test_backgrounds_come_from_all_objects() -> None:
    samples = samples_of(images=4, scene=replace(PLAIN, own=0.0, merge=0.0, absent=0.0))
    reds = []
    for position in range(25):
        image = samples[position]["frames"][0].numpy().astype(int)
        reds.append(round(np.median(image[..., 0][image[..., 1] < 40]) / 20))
    assert set(reds) == set(range(4))


def test_guides_are_corrupted_as_asked_for() -> None:
    recipe = replace(RECIPE, correct=0.0)
    blind, seeing = (
        samples_of(corruption=MaskCorruption(absent=absent), recipe=recipe) for absent in (1.0, 0.0)
    )
    for position in range(5):
        assert not blind[position]["guide"].any()
        assert seeing[position]["guide"].any()


class Knows(nn.Module):
    """A tracker that says what a function of the frames says; remembers what it was given."""

    def __init__(self, answer: Callable[[Tensor], Tensor], quality: float = 1.0) -> None:
        super().__init__()
        self.answer, self.quality, self.weight = answer, quality, nn.Parameter(torch.zeros(1))
        self.given: list[tuple[object, ...]] = []

    def forward(self, *inputs: object) -> list[tuple[Tensor, Tensor]]:
        self.given.append(inputs)
        frames = inputs[0]
        assert isinstance(frames, Tensor)
        quality = torch.full((len(frames),), self.quality)
        return [(logits, quality) for logits in self.answer(frames)]


def task_on(
    samples: SequenceSamples, validation: SequenceSamples | None = None, count: int = 6
) -> TrackerTask:
    network = Knows(lambda frames: frames)
    return TrackerTask(network, torch.optim.SGD(network.parameters()), samples, validation, count)


def batch_of(samples: SequenceSamples) -> dict[str, Tensor]:
    """The first two samples, with void at the bottom."""
    batch = {key: torch.stack([samples[0][key], samples[1][key]]) for key in samples[0]}
    batch["void"][:, :, -8:] = True
    batch["target"] &= ~batch["void"]
    return batch


def by_frame(target: Tensor) -> Tensor:
    """T×N×1×H×W logits, from a target N×T×H×W."""
    return (8.0 * target - 4).transpose(0, 1)[:, :, None]


def test_a_loss_falls_with_every_right_pixel_and_void_counts_neither_way() -> None:
    samples = samples_of()
    task, batch = task_on(samples), batch_of(samples)
    right = by_frame(batch["target"])

    def loss(logits: Tensor) -> float:
        return float(task.loss(Knows(lambda _: logits), batch, 0.0))

    assert loss(right) < 0.5 * loss(0 * right) < 0.5 * loss(-right)
    assert loss(torch.where(by_frame(batch["void"]) > 0, -9 * right, right)) == loss(right)


def test_every_frame_of_a_sequence_counts_the_same() -> None:
    samples = samples_of()
    task, batch = task_on(samples), batch_of(samples)
    right = by_frame(batch["target"])

    def loss(signs: Sequence[float]) -> float:
        logits = torch.stack([sign * each for sign, each in zip(signs, right, strict=True)])
        return float(task.loss(Knows(lambda _: logits), batch, 0.0))

    right_alone, wrong_alone = loss((1, 1, 1)), loss((-1, -1, -1))
    some = [loss(signs) for signs in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    assert sum(some) == pytest.approx(2 * right_alone + wrong_alone, rel=1e-4)
    assert min(some) > right_alone + 0.2 * (wrong_alone - right_alone)


@pytest.mark.parametrize(("sign", "iou"), [(1, 1.0), (-1, 0.0)], ids=["right", "wrong"])
def test_an_estimate_learns_how_good_the_mask_is(sign: int, iou: float) -> None:
    samples = samples_of()
    task, batch = task_on(samples), batch_of(samples)
    logits = sign * by_frame(batch["target"])

    def loss(quality: float) -> float:
        return float(task.loss(Knows(lambda _: logits, quality), batch, 0.0))

    assert loss(iou) < min(loss(iou - 0.1), loss(iou + 0.1)) < loss(1 - iou)


def test_to_find_nothing_where_nothing_is_is_right() -> None:
    samples = samples_of()
    task, batch = task_on(samples), batch_of(samples)
    batch["target"][:] = False
    nothing = by_frame(batch["target"])
    sure, unsure = (float(task.loss(Knows(lambda _: nothing, quality), batch, 0.0)) for quality in (1.0, 0.0))
    assert sure < unsure


def test_the_encoder_learns_only_after_the_first_part_of_the_training() -> None:
    samples = samples_of()
    task, batch = task_on(samples), batch_of(samples)
    network = Knows(lambda _: by_frame(batch["target"]))
    for done in (0.0, 0.1, 0.2, 0.9):
        task.loss(network, batch, done)
    assert [given[-1] for given in network.given] == [False, False, True, True]


def test_the_network_is_given_the_frames_normalised_and_remembers_any_number_of_them() -> None:
    samples = samples_of()
    task, batch = task_on(samples), batch_of(samples)
    network = Knows(lambda _: by_frame(batch["target"]))
    torch.manual_seed(0)
    for _ in range(40):
        task.loss(network, batch, 0.5)
    frames, masks, guides, flows, *_ = network.given[0]
    assert torch.allclose(frames[1], lite_input(batch["frames"][1].numpy()))
    assert torch.equal(masks, batch["known_mask"].float())
    assert torch.equal(guides, batch["guide"])
    assert torch.equal(flows, batch["flows"])
    # the mask of the last frame comes too late to be of use
    assert {given[4] for given in network.given} == {0, 1, 2}


def green(frames: Tensor) -> Tensor:
    """T×N×1×H×W logits; what is green is the object."""
    return (frames[:, 1:, 1] - 1).transpose(0, 1)[:, :, None]


def test_a_tracker_is_validated_on_the_overlap_in_the_last_frame() -> None:
    task = task_on(samples_of(), samples_of(Clip(9, 120), images=0))

    def scores(answer: Callable[[Tensor], Tensor], quality: float = 1.0) -> dict[str, float]:
        return task.validate(Knows(answer, quality))

    right = scores(green)
    assert right == scores(green)
    assert 0.9 < right["iou"] <= 1
    assert right["quality"] == pytest.approx(right["iou"])
    assert scores(lambda frames: -green(frames))["iou"] < 0.1
    assert scores(lambda frames: green(frames) - 9)["iou"] == 0
    # the frames before count only by what they lead to
    late = scores(lambda frames: torch.cat([-green(frames)[:-1], green(frames)[-1:]]))
    early = scores(lambda frames: torch.cat([green(frames)[:-1], -green(frames)[-1:]]))
    assert late == right
    assert early["iou"] < 0.1
    assert scores(green, 0.75)["quality"] == pytest.approx(1 - (right["iou"] - 0.75), abs=0.1)
    assert scores(green, 0.5)["quality"] < 0.7


def test_void_does_not_count_in_validation() -> None:
    def everywhere_void(frames: Tensor) -> Tensor:
        return torch.ones_like(green(frames))

    class Void(Clip):
        def read(self, index: int) -> Example:
            example = super().read(index)
            return replace(example, void=~example.mask)

    task = task_on(samples_of(), samples_of(Void(9, 120), images=0))
    assert task.validate(Knows(everywhere_void))["iou"] > 0.9


def test_validation_takes_as_many_sequences_as_asked_for() -> None:
    network = Knows(green)
    task_on(samples_of(), samples_of(seed=4), 3).validate(network)
    assert [given[0].shape for given in network.given] == [(1, 4, 3, *SIZE_HW)] * 3
    assert len({given[0].numpy().tobytes() for given in network.given}) == 3
    assert not network.training
    assert task_on(samples_of()).validate(network) == {}


def train_small(root: Path, out: Path) -> None:
    make_lite_small()
    loop = {"steps": 8, "batch": 1, "workers": 0, "log_every": 1, "validate_every": 8}
    changes = {"data": [{"kind": "voc", "root": str(root)}], "sizes_hw": [(48, 64)], "loop": loop}
    train_parent(ParentSettings.model_validate({"out": out} | changes), device=torch.device("cpu"))


def test_several_processes_train_it_while_the_encoder_stays_and_when_it_learns(tmp_path: Path) -> None:
    root, out = make_voc(tmp_path / "voc"), tmp_path / "out"
    assert ended(*start_world(2, train_small, root, out)) == [0, 0]
    assert (out / "last.safetensors").is_file()
