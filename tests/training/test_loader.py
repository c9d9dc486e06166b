import os
import pickle
import signal
from collections import Counter
from itertools import chain
from multiprocessing import active_children

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import TinySamples
from torch.utils.data import Dataset

from dextr_vos.errors import InputError
from dextr_vos.training.loader import PositionBatches, SampleOrder, load_batches

counts_and_repeats = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0])), min_size=1, max_size=4
).filter(lambda sets: sum(round(count * repeat) for count, repeat in sets) > 0)
seeds = st.integers(0, 2**32 - 1)


def epoch_of(order, number):
    start = number * order.epoch_length
    return [order.at(position) for position in range(start, start + order.epoch_length)]


@given(counts_and_repeats, seeds, st.integers(0, 1000))
def test_every_object_comes_as_often_as_its_set_is_repeated(sets, seed, number):
    counts, repeats = zip(*sets, strict=True)
    order = SampleOrder(counts, repeats, seed)
    seen = Counter(epoch_of(order, number))
    start = 0
    for count, repeat in sets:
        times = [seen.pop(index, 0) for index in range(start, start + count)]
        assert sum(times) == round(count * repeat)
        assert max(times, default=0) - min(times, default=0) <= 1
        start += count
    assert not seen


@given(counts_and_repeats, seeds, st.lists(st.integers(0, 500), max_size=20))
def test_a_position_tells_its_sample_whatever_was_asked_before(sets, seed, positions):
    asked = SampleOrder(*zip(*sets, strict=True), seed)
    before = [asked.at(position) for position in positions]
    for position, index in zip(positions, before, strict=True):
        assert SampleOrder(*zip(*sets, strict=True), seed).at(position) == index


def test_epochs_and_seeds_differ():
    order = SampleOrder([40], [1.0], 5)
    assert epoch_of(order, 0) != epoch_of(order, 1)
    assert epoch_of(order, 0) != epoch_of(SampleOrder([40], [1.0], 6), 0)


def test_sets_are_mixed():
    order = SampleOrder([50, 50], [1.0, 1.0], 0)
    first_half = [index < 50 for index in epoch_of(order, 0)[:50]]
    assert 10 < sum(first_half) < 40


def test_a_share_takes_other_objects_in_every_epoch():
    order = SampleOrder([40], [0.25], 0)
    seen = set(chain.from_iterable(epoch_of(order, number) for number in range(20)))
    assert len(seen) == 40


def test_it_can_be_sent_to_another_process():
    order = SampleOrder([10], [1.0], 0)
    order.at(3)
    assert epoch_of(pickle.loads(pickle.dumps(order)), 4) == epoch_of(order, 4)


@pytest.mark.parametrize(("counts", "repeats"), [([], []), ([0], [1.0]), ([3], [0.1])])
def test_nothing_to_train_on(counts, repeats):
    with pytest.raises(InputError, match="no object to train on"):
        SampleOrder(counts, repeats, 0)


small = st.integers(1, 5)


@given(st.integers(0, 6), small, small, small, small)
def test_processes_together_read_what_one_reads(first, steps, batch, passes, world):
    last = first + steps
    alone = list(PositionBatches(first, last, batch * world, passes))
    parts = [list(PositionBatches(first, last, batch, passes, rank, world)) for rank in range(world)]
    assert {len(part) for part in parts} == {len(alone)} == {steps * passes}
    for number, whole in enumerate(alone):
        assert list(chain.from_iterable(part[number] for part in parts)) == whole
    read = sorted(chain.from_iterable(alone))
    per_step = batch * world * passes
    assert read == list(range(first * per_step, last * per_step))


@given(st.integers(0, 5), st.integers(0, 5), small, small)
def test_going_on_reads_what_is_left(first, further, batch, passes):
    whole = list(PositionBatches(0, 10, batch, passes))
    resumed = PositionBatches(first, 10, batch, passes)
    assert list(resumed) == whole[first * passes :]
    assert len(resumed) == len(whole) - first * passes


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
    before = set(active_children())
    batches = load_batches(TinySamples(broken=3), PositionBatches(0, 5, 2, 1), workers)
    next(batches)
    with pytest.raises(InputError) as fault:
        next(batches)
    assert str(fault.value) == "image 3 is broken: cut short"
    assert set(active_children()) <= before, "the workers end, although the error is kept"


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
