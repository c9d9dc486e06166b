import pytest
import torch
from made_tracker import COARSE, SIZE_HW, made_up, tracker

from dextr_vos.networks.windows import Window

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")


def test_windows_over_the_whole_frame_change_nothing():
    network = tracker()
    frames, guides, known, masks = made_up(2, 2)
    everywhere = Window(slice(0, SIZE_HW[0] // COARSE), slice(0, SIZE_HW[1] // COARSE))
    with torch.inference_mode():
        features, memory = network.encode(frames), network.encode(known).memorize(masks)
        for one, other in zip(
            network.decode(features, memory, guides),
            network.decode(features, memory, guides, [everywhere] * 2),
            strict=True,
        ):
            assert torch.allclose(one, other, atol=1e-4)


def test_a_window_an_object_is_expected():
    network = tracker()
    frames, guides, known, masks = made_up(1, 2)
    features, memory = network.encode(frames), network.encode(known).memorize(masks)
    with pytest.raises(ValueError, match="a window for each of 2 objects, got 1"):
        network.decode(features, memory, guides, [Window(slice(0, 2), slice(0, 2))])


@pytest.mark.parametrize("second", [Window(slice(2, 3), slice(0, 4)), Window(slice(1, 3), slice(2, 4))])
def test_an_object_is_found_in_its_window_alone(second):
    network = tracker()
    frames, guides, known, masks = made_up(2, 2)
    windows = [Window(slice(0, 2), slice(1, 3)), second]
    with torch.inference_mode():
        features, memory = network.encode(frames), network.encode(known).memorize(masks)
        logits, quality = network.decode(features, memory, guides, windows)
    assert quality.shape == (2, 2)
    for found, window in zip([*logits[0], *logits[1]], windows * 2, strict=True):
        rows, columns = (
            slice(part.start * COARSE, part.stop * COARSE) for part in (window.rows, window.columns)
        )
        outside = torch.ones_like(found, dtype=torch.bool)
        outside[rows, columns] = False
        assert torch.sigmoid(found[outside]).max() < 1e-6
        assert torch.sigmoid(found[rows, columns]).min() > 1e-6
