"""The command as a user meets it."""

import re
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from tiny_datasets import make_voc

from dextr_vos.cli.main import main
from dextr_vos.networks.checkpoints import read_state_dict

CONFIG = Path(__file__).parents[2] / "configs" / "dextr" / "extreme-points.yaml"
SHORT = ["epochs=null", "loop.steps=4", "loop.batch=2", "loop.workers=0", "loop.log_every=2", "rate=2e-6"]
SHALLOW = ["blocks=[1,1,1,1]", "crop.size_px=64", "crop.relax_px=10"]

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_dextr")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def call(capfd, *given):
    """Status, standard output and standard error."""
    with pytest.raises(SystemExit) as stop:
        main(["train-dextr", "--config", str(CONFIG), "--device", "cpu", *map(str, given)])
    output, errors = capfd.readouterr()
    return stop.value.code, output, errors


def test_it_tells_what_it_learns_from_how_good_it_gets_and_how_fast(tmp_path, capfd, caplog):
    make_voc(tmp_path / "data", 4, 2)
    out = tmp_path / "out"
    given = ["-o", out, f"data_root={tmp_path / 'data'}", "loop.validate_every=2", *SHORT, *SHALLOW]
    caplog.set_level("INFO")
    status, output, _ = call(capfd, *given)
    assert status == 0
    assert re.search(r"voc train: 8 objects to train on\n", caplog.text)
    assert re.search(r"validation on 4 of 4 objects: voc val\n", caplog.text)
    assert len(re.findall(r"step [24] of 4: iou [01]\.\d{3}\n", caplog.text)) == 2
    first, second, third, fourth = output.splitlines()
    assert re.fullmatch(r"trained 4 steps \(\d+ s\), loss \d+\.\d{3}; iou [01]\.\d{3}", first)
    assert re.fullmatch(r"\d+\.\d samples a second, \d+ % of the time spent waiting for them", second)
    assert third == f"weights in {out / 'best.safetensors'} and {out / 'last.safetensors'}"
    small = out / "last-fp16.safetensors"
    assert fourth == f"last in fp16: {small}, SHA-256 {sha256(small.read_bytes()).hexdigest()}"
    before = read_state_dict(out / "last.safetensors")
    status, output, _ = call(capfd, *given)  # it is at its end
    assert status == 0
    assert output.startswith("trained 4 steps")
    after = read_state_dict(out / "last.safetensors")
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    status, _, errors = call(capfd, *given, "seed=1")
    assert status == 2
    assert re.search(
        r"dextr-vos: .*out holds a training with other settings \(seed: 0 there, 1 here\)", errors
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ["data_root=nowhere"],
            r"there is no folder nowhere/VOCdevkit; get the training and validation data",
        ),
        (["epoch=3"], "epoch=3: unknown setting; did you mean epochs"),
        (["rate=fast"], "rate=fast: expected a number above 0, got 'fast'"),
        (["rate=0"], "rate=0: expected a number above 0"),
        (["loop.steps=3"], "expected either epochs or loop.steps, got both"),
        (["crop.points=five"], "crop.points=five: expected 'clicks', 'corners' or 'none', got 'five'"),
        (["rate"], "expected key=value"),
        (["data=[{kind: vok}]"], "kind: expected 'voc'"),
        (["start=none.pth", "data_root={root}"], "there is no checkpoint none.pth"),
        (["start={config}", "data_root={root}"], "extreme-points.yaml is not a checkpoint"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_status_2(tmp_path, capfd, given, words):
    make_voc(tmp_path / "data", 1, 1)
    changed = [
        one.format(root=tmp_path / "data", config=CONFIG) if "{root}" in one or "{config}" in one else one
        for one in given
    ]
    status, output, errors = call(capfd, *changed, f"out={tmp_path / 'out'}", *SHALLOW)
    assert (status, output) == (2, "")
    (line,) = [line for line in errors.splitlines() if line.startswith("dextr-vos:")]
    assert re.search(words, line)
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_not_finite_is_one_line_and_status_2(tmp_path, capfd):
    make_voc(tmp_path / "data", 2, 1)
    given = [f"data_root={tmp_path / 'data'}", f"out={tmp_path / 'out'}", *SHORT, *SHALLOW, "rate=1e30"]
    status, _, errors = call(capfd, *given)
    assert status == 2
    last = errors.strip().splitlines()[-1]
    assert re.match(
        r"dextr-vos: .* of 4; there is no checkpoint yet; start again in another out=FOLDER", last
    )
    assert "Traceback" not in errors


def test_an_unknown_file_of_settings_is_one_line(tmp_path, capfd):
    with pytest.raises(SystemExit) as stop:
        main(["train-dextr", "--config", str(tmp_path / "none.yaml")])
    assert stop.value.code == 2
    assert re.fullmatch(r"dextr-vos: there is no settings file .*none\.yaml\n", capfd.readouterr().err)
