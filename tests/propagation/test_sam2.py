"""SAM 2 as a propagation model: it follows, resumes and is corrected; its own predictor agrees."""

import logging
import os
import signal
import sys
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_run import bytes_of, stop_after, train, write_keyframes
from tiny_sam import CONFIGURATION, THIN_SAM2, THIN_SAM2_SIZE, StandIn, thin_sam2
from tiny_training import ended, start_process

import dextr_vos as dv
from dextr_vos.benchmark.settings import BenchmarkSettings
from dextr_vos.cli.main import main
from dextr_vos.errors import ConfigError, InputError, Interrupted, WeightsError
from dextr_vos.integrations.cvat import detection
from dextr_vos.networks import sam
from dextr_vos.pipeline import PropagationOptions
from dextr_vos.propagation import sam2
from dextr_vos.propagation.models import SAM2
from dextr_vos.propagation.trained_network import load_network, segment_clip
from dextr_vos.run_files import read_record

pytestmark = pytest.mark.usefixtures("one_thread")
FRAMES = np.stack([tiny_frame(index) for index in range(6)])


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """Stands for a published one; the network is a `StandIn`."""
    monkeypatch.setattr(sam2, "load_sam2", lambda path: StandIn())
    path = tmp_path / "sam2.pt"
    path.write_bytes(b"weights")
    return path


def iou(labels, index, object_id=1):
    found, truth = labels == object_id, tiny_mask(index) == 1
    return (found & truth).sum() / (found | truth).sum()


def test_an_object_is_followed_from_the_keyframe_in_both_directions(checkpoint):
    results = dv.propagate(FRAMES, {3: tiny_mask(3)}, model="sam2", parent=checkpoint, device="cpu")
    for frame in results:
        assert iou(frame.labels, frame.index) > 0.8
        assert frame.is_keyframe == (frame.index == 3)
        assert frame.confidence[1] > 0.5


def test_several_objects_with_the_keyframes_on_both_sides_in_memory(checkpoint, monkeypatch):
    networks = []
    monkeypatch.setattr(sam2, "load_sam2", lambda path: networks.append(StandIn()) or networks[0])
    labels = {index: tiny_mask(index) * 7 for index in (0, 5)}
    for each in labels.values():
        each[40:, :10] = 3  # of the ground
    for frame in dv.propagate(FRAMES, labels, model="sam2", parent=checkpoint, device="cpu"):
        assert iou(frame.labels, frame.index, 7) > 0.8
        assert set(frame.confidence) == {3, 7}
    # the last frames are kept only as long as they count
    assert networks[0].remembered[-4:] == [{0, 5}, {0, 1, 5}, {0, 1, 2, 5}, {0, 1, 2, 3, 5}]


def run(clip, keyframes, out, checkpoint, **options):
    return train(clip, keyframes, out, SAM2, parent=checkpoint, **options)


def test_a_run_resumes_where_it_was_stopped(checkpoint, tiny_clip, tmp_path):
    keyframes = write_keyframes(tmp_path / "keyframes", 0, 5)
    run(tiny_clip, keyframes, tmp_path / "whole", checkpoint)
    with pytest.raises(Interrupted, match="everything is kept"):
        run(tiny_clip, keyframes, tmp_path / "run", checkpoint, stop_asked=stop_after(2))
    (made,) = (tmp_path / "run").glob("*/masks")
    before = bytes_of(made)
    assert 0 < len(before) < 6
    run(tiny_clip, keyframes, tmp_path / "run", checkpoint)
    assert bytes_of(tmp_path / "run" / "masks") == bytes_of(tmp_path / "whole" / "masks")
    # the weights are not copied into every run
    assert (tmp_path / "run" / "network.safetensors").stat().st_size < 20_000


def propagate_thin_sam2(clip, keyframes, out, checkpoint, killed_after):
    """The network of `thin_sam2` in a process of its own, which is killed after so many frames."""
    sam.SAM2_OVERRIDES, sam.SAM2_SIZES[THIN_SAM2_SIZE] = THIN_SAM2, "t"
    torch.set_num_threads(1)
    frames = count(1)

    def on_frame(done, total):
        if next(frames) == killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    run(clip, keyframes, out, checkpoint, on_frame=on_frame)


def test_a_run_of_sam2_that_was_killed_ends_like_one_that_was_not(tiny_clip, tmp_path, monkeypatch):
    checkpoint = thin_sam2(tmp_path, monkeypatch)
    keyframes = write_keyframes(tmp_path / "keyframes", 2)
    run(tiny_clip, keyframes, tmp_path / "whole", checkpoint)
    whole = bytes_of(tmp_path / "whole" / "masks")
    assert len(set(whole.values())) == 6
    made = []
    for killed_after in (1, 4, 2):  # in the backward pass, in the forward pass, and in what is left of that
        process = start_process(
            propagate_thin_sam2, tiny_clip, keyframes, tmp_path / "run", checkpoint, killed_after
        )
        assert ended(process) == [-signal.SIGKILL]
        made.append(len(list((tmp_path / "run").glob("*/masks/*.png"))))
    assert made == sorted(made)
    assert 0 == made[0] < made[1] < 6
    run(tiny_clip, keyframes, tmp_path / "run", checkpoint)
    assert bytes_of(tmp_path / "run" / "masks") == whole
    confidences = [(tmp_path / name / "confidence.json").read_bytes() for name in ("whole", "run")]
    assert confidences[0] == confidences[1]


def test_a_correction_changes_only_what_is_beside_it(checkpoint, tiny_clip, tmp_path, caplog):
    keyframes = write_keyframes(tmp_path / "keyframes", 0, 2)
    out = tmp_path / "run"
    run(tiny_clip, keyframes, out, checkpoint)
    times = {path.name: path.stat().st_mtime_ns for path in (out / "masks").iterdir()}
    write_keyframes(keyframes, 4)
    with caplog.at_level(logging.INFO):
        record = run(tiny_clip, keyframes, out, checkpoint)
    assert record.continued_from is not None
    assert set(record.keyframes) == {"00000", "00002", "00004"}
    assert "continuing with the network of the last run" in caplog.text
    assert len(times) == 6
    assert run(tiny_clip, keyframes, out, checkpoint) == read_record(out / "run.json")


def test_a_run_says_when_its_checkpoint_is_gone_or_changed(checkpoint, tiny_clip, tmp_path):
    out = tmp_path / "run"
    run(tiny_clip, write_keyframes(tmp_path / "keyframes", 0), out, checkpoint)
    trained = load_network(out)
    with pytest.raises(InputError, match="finds objects in the clip of its keyframes only"):
        segment_clip(dv.open_clip(tiny_clip), trained, tmp_path / "out", torch.device("cpu"))
    checkpoint.write_bytes(b"other")
    with pytest.raises(WeightsError, match="was changed since"):
        load_network(out)
    checkpoint.unlink()
    with pytest.raises(WeightsError, match="which is gone"):
        load_network(out)


@pytest.mark.parametrize(
    ("parent", "sentence"),
    [(None, r"needs a parent, a published checkpoint$"), ("none", "needs a published checkpoint")],
)
def test_without_a_checkpoint_there_is_no_network(parent, sentence):
    with pytest.raises(InputError, match=sentence):
        dv.propagate(FRAMES, {0: tiny_mask(0)}, model="sam2", parent=parent, device="cpu")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_steps": 3}, "the model sam2 is not fine-tuned"),
        ({"budget_s": 3.0}, "the model sam2 is not fine-tuned"),
        ({"settings": ["tracking.max_recent=1"]}, r"'tracking\.max_recent' does nothing with the model sam2"),
    ],
)
def test_what_would_do_nothing_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        PropagationOptions("sam2", **options).chosen_model()
    assert PropagationOptions("sam2", settings=["tracking.across_cuts=true"]).chosen_model()


def test_the_command_says_that_nothing_was_fine_tuned(checkpoint, tiny_clip, tmp_path):
    keyframes = write_keyframes(tmp_path / "keyframes", 0)
    given = ["--keyframes", keyframes, "-o", tmp_path / "run", "--model", "sam2", "--parent", checkpoint]
    done = CliRunner().invoke(
        main, [str(each) for each in ("propagate", tiny_clip, "--device", "cpu", *given)]
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("not fine-tuned\nthe network reproduces the keyframes: object 1 with IoU ")


def test_a_detection_function_of_such_a_run_is_refused_before_the_first_image(
    checkpoint, tiny_clip, tmp_path, monkeypatch
):
    run(tiny_clip, write_keyframes(tmp_path / "keyframes", 0), tmp_path / "run", checkpoint)
    sdk = SimpleNamespace(label_spec=lambda *_, **__: None, DetectionFunctionSpec=lambda labels: labels)
    monkeypatch.setattr(detection, "cvat_sdk", lambda module: sdk)
    with pytest.raises(InputError, match="finds objects in the clip of its keyframes only"):
        detection.create(str(tmp_path / "run"), "cpu")


def test_without_the_package_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sam2.build_sam", None)
    with pytest.raises(InputError, match=r'pip install "dextr-vos\[sam2\]"'):
        SAM2.start(1, 0, _file(tmp_path / "sam2.pt"))


def _file(path):
    path.write_bytes(b"weights")
    return path


def test_the_benchmark_asks_for_the_checkpoint():
    assert BenchmarkSettings(models=("sam2",), parent={"sam2": "sam2.pt"}).models == ("sam2",)
    with pytest.raises(ValueError, match=r"expected parent\.sam2"):
        BenchmarkSettings(models=("sam2",))


@pytest.mark.filterwarnings("ignore:Implicit conversion:FutureWarning")
@pytest.mark.parametrize("keyframes", [(0,), (0, 4)])
def test_masks_are_those_of_the_predictor_of_sam2(tmp_path, monkeypatch, keyframes):
    checkpoint = thin_sam2(tmp_path, monkeypatch)
    from sam2.build_sam import build_sam2_video_predictor

    predictor = build_sam2_video_predictor(
        CONFIGURATION, str(checkpoint), "cpu", "eval", list(THIN_SAM2), apply_postprocessing=False
    )
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, frame in enumerate(FRAMES):  # it takes files of this name only; what they hold is lossless
        Image.fromarray(frame).save(folder / f"{index}.jpg", "png")
    state = predictor.init_state(str(folder))
    for index in keyframes:
        predictor.add_new_mask(state, index, 1, tiny_mask(index) == 1)
    theirs = {
        index: torch.sigmoid(masks[0, 0]).numpy()
        for index, _, masks in predictor.propagate_in_video(state, 0)
    }
    labels = {index: tiny_mask(index) for index in keyframes}
    ours = dv.propagate(FRAMES, labels, model=replace(SAM2, bf16=False), parent=checkpoint, device="cpu")
    compared = 0
    for frame in ours:
        if not frame.is_keyframe and (len(keyframes) == 1 or frame.index < keyframes[-1]):
            assert np.abs(frame.probabilities[0] - theirs[frame.index]).max() < 1e-4
            compared += 1
    assert compared >= 3
