"""The command as a user meets it: real processes, real signals, a real terminal."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import tiny_frame
from PIL import Image
from tiny_run import bytes_of, write_keyframes

from dextr_vos.propagation.run import load_network
from dextr_vos.record import read_record

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "120"}
# the command as it is, but with a checkpoint after every step: nobody wants to wait 20 s in a test
EVERY_STEP = (
    "import dextr_vos.propagation.finetune as finetune; finetune.SECONDS_BETWEEN_CHECKPOINTS = 0.0; "
    "from dextr_vos.cli.main import main; main()"
)
STEPS = 24
MANY = 250


def arguments(clip, keyframes, out, steps=STEPS):
    return [
        *("train-propagation", str(clip), "--keyframes", str(keyframes), "--out", str(out)),
        *("--device", "cpu", "--seed", "5", "--max-steps", str(steps)),
    ]


def call(*given):
    return subprocess.run(
        [sys.executable, "-m", "dextr_vos", *given],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )


class Terminal:
    """A process whose error stream is a terminal, and what it has shown so far."""

    def __init__(self, *given):
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dextr_vos", *given],
            env=ENVIRONMENT,
            stderr=theirs,
            stdout=subprocess.PIPE,
        )
        os.close(theirs)
        self.shown = ""
        self.reader = threading.Thread(target=self._read, args=(ours,))
        self.reader.start()

    def _read(self, ours):
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece.decode(errors="replace"))
        os.close(ours)

    def wait_for(self, pattern):
        until = time.monotonic() + 60
        while not re.search(pattern, self.shown):
            assert self.process.poll() is None, self.shown
            assert time.monotonic() < until, self.shown
            time.sleep(0.01)

    def end(self):
        output, _ = self.process.communicate(timeout=60)
        self.reader.join()
        lines = [line.strip() for line in re.split(r"[\r\n]+", self.shown) if line.strip()]
        return self.process.returncode, output.decode(), lines


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A tiny clip, two keyframes, and an uninterrupted run of them."""
    root = tmp_path_factory.mktemp("project")
    (root / "clip").mkdir()
    for index in range(6):
        Image.fromarray(tiny_frame(index)).save(root / "clip" / f"{index:05d}.png")
    write_keyframes(root / "masks", 0, 3, white=True)
    done = call(*arguments(root / "clip", root / "masks", root / "whole"))
    assert done.returncode == 0, done.stderr
    return root, done


def given(root, out):
    return arguments(root / "clip", root / "masks", out)


def files_of(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def assert_as_whole(root, out):
    assert bytes_of(out / "masks") == bytes_of(root / "whole" / "masks")
    assert files_of(out) == ["masks", "network.safetensors", "run.json"]
    one, other = (load_network(path).network.state_dict() for path in (out, root / "whole"))
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_a_run_tells_why_it_stopped_and_where_the_masks_are(project):
    root, done = project
    assert done.stderr == ""
    first, repeated, second = done.stdout.splitlines()
    assert re.fullmatch(r"on the keyframes: object 1 IoU [01]\.\d\d", repeated)
    assert re.fullmatch(
        rf"fine-tuned in {STEPS} steps \(\d+ s\): the step limit was reached, at \d\.\d{{3}}", first
    )
    assert second == f"6 masks in {root / 'whole' / 'masks'}, 2 of them copied keyframes"
    for name, content in bytes_of(root / "masks").items():
        assert (root / "whole" / "masks" / name).read_bytes() == content
    assert read_record(root / "whole" / "run.json").seed == 5


def test_a_finished_run_is_not_repeated(project, tmp_path):
    root, _ = project
    shutil.copytree(root / "whole", tmp_path / "run")
    before = bytes_of(tmp_path / "run" / "masks")
    again = call(*given(root, tmp_path / "run"))
    assert again.returncode == 0
    assert again.stderr.splitlines() == ["the network is trained already", "all masks are there already"]
    assert bytes_of(tmp_path / "run" / "masks") == before


@pytest.mark.slow
def test_ctrl_c_while_training_keeps_everything(project, tmp_path):
    root, _ = project
    out = tmp_path / "run"
    terminal = Terminal(*given(root, out))
    terminal.wait_for(r"fine-tuning.* [1-9]\d*/24 loss \d\.\d{3} ")  # the bar, with loss
    terminal.process.send_signal(signal.SIGINT)
    status, output, lines = terminal.end()
    assert (status, output) == (130, "")
    (line,) = [line for line in lines if "dextr-vos:" in line]
    steps = re.fullmatch(
        r"dextr-vos: stopped after (\d+) steps, everything is kept; the same command goes on from there", line
    )
    assert lines[-1] == line
    assert not any("Traceback" in line for line in lines)
    assert files_of(out) == ["training.pt"]
    resumed = call(*given(root, out))
    assert (resumed.returncode, resumed.stderr) == (0, f"going on from step {steps[1]}\n")
    assert_as_whole(root, out)


@pytest.mark.slow
def test_a_killed_training_loses_no_more_than_what_came_since_the_last_checkpoint(project, tmp_path):
    root, _ = project
    out = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", EVERY_STEP, *given(root, out)], env=ENVIRONMENT)
    until = time.monotonic() + 60
    while not (out / "training.pt").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.2)  # some steps more, so that a write may be cut in the middle
    process.kill()
    assert process.wait() == -signal.SIGKILL
    resumed = call(*given(root, out))
    assert resumed.returncode == 0
    assert re.fullmatch(r"going on from step [1-9]\d*\n", resumed.stderr)
    assert_as_whole(root, out)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_while_segmenting_keeps_the_masks_made_so_far(tmp_path, kind):
    clip, out = tmp_path / "clip", tmp_path / "run"
    clip.mkdir()
    Image.fromarray(tiny_frame(0)).save(clip / "00000.png")
    for index in range(1, MANY):
        os.link(clip / "00000.png", clip / f"{index:05d}.png")
    command = arguments(clip, write_keyframes(tmp_path / "masks", 0), out, steps=2)
    terminal = Terminal(*command)
    terminal.wait_for(rf"segmenting.* ([5-9]|\d\d+)/{MANY} ")
    terminal.process.send_signal(kind)
    status, _, lines = terminal.end()
    if kind == signal.SIGINT:
        assert status == 130
        assert re.fullmatch(
            rf"dextr-vos: stopped after \d+ of {MANY} frames, everything is kept; the same command .*",
            lines[-1],
        )
    else:
        assert status == -signal.SIGKILL
    assert not (out / "masks").exists()
    (unfinished,) = out.glob(".masks-*")
    made = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("[0-9]*.png")}
    made.pop("00000.png", None)  # the keyframe is copied each time
    assert made
    resumed = call(*command)
    assert resumed.returncode == 0
    assert resumed.stderr.splitlines() == ["the network is trained already"]
    masks = bytes_of(out / "masks")
    assert sorted(masks) == [f"{index:05d}.png" for index in range(MANY)]
    assert {name: (out / "masks" / name).stat().st_mtime_ns for name in made} == made
    assert len(set(masks.values()) - {masks["00000.png"]}) == 1  # all frames are the same


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--keyframes", "{root}/nowhere"], "there are no keyframes"),
        (["--keyframes", "{root}/clip"], "grey levels|colours are not"),
        (["--out", "{root}/clip/00000.png"], "is a file; expected a folder"),
        (["--out", "/proc/nowhere/run"], "cannot read or write /proc/nowhere: No such file"),
        (["--parent", "{root}/none.pth"], "there is no checkpoint"),
        (["--parent", "{root}/clip/00000.png"], "00000.png"),
        (["--device", "toaster"], "unknown device 'toaster'"),
        (["--seed", "-1"], "--seed is a whole number from 0"),
        (["--seed", "99999999999999999999"], "--seed is a whole number from 0"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_status_2(project, tmp_path, options, words, capfd):
    from dextr_vos.cli.main import main

    root, _ = project
    changed = [option.format(root=root) for option in options]
    with pytest.raises(SystemExit) as stop:
        main([*given(root, tmp_path / "run"), *changed])
    output, errors = capfd.readouterr()
    assert (stop.value.code, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert re.search(words, errors)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options", [["--network", "large"], ["--max-steps", "0"], ["--seed", "x"], ["--keyframe", "a"]]
)
def test_unknown_options_are_refused_by_click(project, tmp_path, options):
    from click.testing import CliRunner

    from dextr_vos.cli.train_propagation import command

    root, _ = project
    assert CliRunner().invoke(command, [*given(root, tmp_path / "run")[1:], *options]).exit_code == 2
