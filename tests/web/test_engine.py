"""A segmenter that loads while the page opens."""

import pytest
from tiny_run import Squares

from dextr_vos.errors import WeightsError
from dextr_vos.web.segmenter_process import Engine


def test_loading_that_failed_is_tried_again():
    faults = [WeightsError("no memory")]

    def load():
        if faults:
            raise faults.pop()
        return Squares()

    engine = Engine("squares", load)
    with pytest.raises(WeightsError, match="no memory"):
        engine.get()
    assert engine.get().name == "squares"
    assert engine.get() is engine.get()
