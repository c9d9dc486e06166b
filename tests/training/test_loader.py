import os
import signal

import pytest
import torch
from tiny_training import TinySamples
from torch.utils.data import Dataset

from dextr_vos.errors import InputError
from dextr_vos.training.loader import load_batches
from dextr_vos.training.schedule import PositionBatches


class Workers(Dataset):
    """Samples that tell which process made them."""

    def __getitem__(self, position):
        return {"position": torch.tensor(position), "process": torch.tensor(os.getpid())}


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_in_order(workers):
    batches = list(load_batches(TinySamples(), PositionBatches(2, 5, 2, 1), workers))
    assert len(batches) == 3
    for number, batch in enumerate(batches):
        start = 4 + 2 * number
        assert torch.equal(batch["image"][1], TinySamples()[start + 1]["image"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_in_a_sample_is_told_in_its_own_words(workers):
    batches = load_batches(TinySamples(broken=3), PositionBatches(0, 5, 2, 1), workers)
    next(batches)
    with pytest.raises(InputError) as fault:
        next(batches)
    assert str(fault.value) == "picture 3 is broken: cut short"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_workers_leave_signals_to_the_training(kind):
    batches = load_batches(Workers(), PositionBatches(0, 40, 1, 1), 1)
    process = int(next(batches)["process"])
    assert process != os.getpid()
    os.kill(process, kind)
    assert [int(batch["position"]) for batch in batches] == list(range(1, 40))


def test_closing_ends_the_workers():
    batches = load_batches(Workers(), PositionBatches(0, 40, 1, 1), 1)
    process = int(next(batches)["process"])
    batches.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
