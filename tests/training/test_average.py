import torch
from torch import nn

from dextr_vos.training.loop import WeightAverage


def network(value):
    made = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for tensor in made.state_dict().values():
            tensor.fill_(value)
    return made


def test_starts_as_a_copy():
    followed = network(1.0)
    average = WeightAverage(followed, 0.9)
    nn.init.zeros_(followed[0].weight)
    assert average.state["0.weight"].tolist() == [[1, 1]]


def test_without_decay_it_is_the_network():
    average = WeightAverage(network(0), 0.0)
    now = network(3)
    average.update(now, 500)
    assert all(torch.equal(average.state[key], tensor) for key, tensor in now.state_dict().items())


def test_follows_slowly_after_many_steps():
    average = WeightAverage(network(0), 0.99)
    for _ in range(10):
        average.update(network(1), 100_000)
    torch.testing.assert_close(average.state["0.weight"], torch.full((1, 2), 1 - 0.99**10))
    # running statistics belong to the weights, a count is no average
    torch.testing.assert_close(average.state["1.running_mean"], torch.full((1,), 1 - 0.99**10))
    assert average.state["1.num_batches_tracked"] == 1


def test_forgets_the_first_weights_soon():
    average = WeightAverage(network(0), 0.999)
    for step in range(50):
        average.update(network(1), step)
    assert average.state["0.weight"].min() > 0.999


def test_goes_on_from_a_saved_state():
    one, other = WeightAverage(network(0), 0.9), WeightAverage(network(7), 0.9)
    one.update(network(1), 30)
    other.load({key: tensor.clone() for key, tensor in one.state.items()})
    for average in (one, other):
        average.update(network(2), 31)
    assert all(torch.equal(tensor, other.state[key]) for key, tensor in one.state.items())
