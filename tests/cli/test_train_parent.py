"""The command as a user meets it."""

from pathlib import Path

import pytest
import torch
from tiny_datasets import make_voc

from dextr_vos.cli.main import main
from dextr_vos.networks.checkpoints import read_state_dict, save
from dextr_vos.propagation.models import LITE

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")

CONFIG = """
data: [{kind: voc, root: data}]
sizes_hw: [[48, 64]]
rate: 0.005
loop: {steps: 2, batch: 2, workers: 0}
"""


def test_the_weights_to_ship_may_lie_between_the_start_and_the_end(tmp_path: Path, capsys) -> None:
    make_voc(tmp_path / "data", 4, 2)
    start, out, config = tmp_path / "start.safetensors", tmp_path / "out", tmp_path / "config.yaml"
    save(start, LITE.start(1, 3, None).state_dict(), {})
    config.write_text(CONFIG)
    given = ["--config", config, "-o", out, f"start={start}", f"data_root={tmp_path}", "alpha=0.25"]
    with pytest.raises(SystemExit) as stop:
        main(["train-parent", "--device", "cpu", *map(str, given)])
    assert stop.value.code == 0
    small = out / "last-fp16.safetensors"
    assert f"0.25 of the way from {start} to last, in fp16: {small}" in capsys.readouterr().out
    before, after, shipped = map(
        read_state_dict, (start, out / "last.safetensors", out / "last-fp16.safetensors")
    )
    learned = 0
    for key, tensor in shipped.items():
        if tensor.is_floating_point():
            between = 0.75 * before[key] + 0.25 * after[key]
            assert torch.allclose(tensor.float(), between, rtol=1e-3, atol=1e-6)
            learned += not torch.allclose(between, after[key], rtol=1e-3, atol=1e-6)
    assert learned > 10
