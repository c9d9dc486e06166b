"""A finished run of the tiny clip, corrections of it, and what tells one run from another."""

import numpy as np
import torch
from conftest import tiny_mask
from safetensors.torch import load_file
from tiny_run import NAMES, bytes_of, train

from dextr_vos.masks import read_labels, write_labels
from dextr_vos.run_files import read_confidence, write_confidence

FILES = ["confidence.json", "masks", "network.safetensors", "run.json"]
PAINT = np.full((48, 64), 9, np.uint8)
PAINT[::2] = 4


def change(keyframes, *indices):
    """Correct masks, or add some."""
    for index in indices:
        labels = tiny_mask(index)
        labels[30:34] = 0
        labels[5:9, 5:9] = 1
        write_labels(keyframes / NAMES[index], labels)


def delete(keyframes, *indices):
    for index in indices:
        (keyframes / NAMES[index]).unlink()


def paint(out, *indices):
    """Paint over masks of a run as if they had come out so."""
    for index in indices:
        write_labels(out / "masks" / NAMES[index], PAINT)
    scores = read_confidence(out / "confidence.json")
    write_confidence(out / "confidence.json", scores | {f"{index:05d}": {1: 0.125} for index in indices})


def painted(out):
    """Indices of the masks that still show the paint, and those whose confidence is the painted one's."""
    scores = read_confidence(out / "confidence.json")
    masks = [np.array_equal(read_labels(out / "masks" / name), PAINT) for name in NAMES]
    kept = [scores[f"{index:05d}"] == {1: 0.125} for index in range(6)]
    return [i for i in range(6) if masks[i]], [i for i in range(6) if kept[i]]


def steps_of(*given, **options):
    """The steps that a run takes, and its record."""
    steps = []
    record = train(*given, on_step=lambda step, *_: steps.append(step), **options)
    return steps, record


def tensors(out):
    return load_file(out / "network.safetensors")


def same_network(one, other):
    one, other = tensors(one), tensors(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def same_results(one, other):
    """Masks, confidences and network, to the last bit."""
    assert bytes_of(one / "masks") == bytes_of(other / "masks")
    assert (one / "confidence.json").read_bytes() == (other / "confidence.json").read_bytes()
    assert same_network(one, other)
    return True


def files_of(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")
