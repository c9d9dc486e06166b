import subprocess

import pytest

from dextr_vos.benchmark.keyframe_masks import even_frames
from dextr_vos.errors import InputError

# the arithmetic of scripts/propagate_davis.sh, which must choose the same frames
_SCRIPT = (
    "for ((i = 0; i < $2; i++)); do echo $(($2 > 1 ? (i * ($1 - 1) + ($2 - 1) / 2) / ($2 - 1) : 0)); done"
)


@pytest.mark.parametrize("frames", [5, 6, 49, 50, 80, 81])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_even_frames_are_those_of_the_script(frames, count):
    done = subprocess.run(
        ["bash", "-c", _SCRIPT, "-", str(frames), str(count)], capture_output=True, text=True, check=True
    )
    chosen = even_frames(frames, count)
    assert chosen == [int(line) for line in done.stdout.split()]
    assert len(set(chosen)) == count
    assert chosen[0] == 0
    assert count == 1 or chosen[-1] == frames - 1


def test_more_keyframes_than_frames_are_refused():
    with pytest.raises(InputError, match="at least 3 frames"):
        even_frames(2, 3)
