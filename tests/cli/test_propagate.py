"""The command as a user meets it; signals and the terminal with real processes."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tiny_frame
from PIL import Image
from tiny_commands import make_lite_small, with_small_lite
from tiny_run import bytes_of, write_keyframes
from tiny_training import ended, hold, start_command, wait_until

from dextr_vos.cli.main import main
from dextr_vos.masks import read_labels
from dextr_vos.propagation import finetune
from dextr_vos.propagation.clip_segmenter import ClipSegmenter
from dextr_vos.propagation.trained_network import load_network
from dextr_vos.run_files import read_record

pytestmark = pytest.mark.usefixtures("narrow", "one_thread")

STEPS = 12
MANY = 150
ABOUT = r"about \d+ s: about \d+ s of fine-tuning \({steps} steps\), \d+ s of segmenting"


def arguments(clip, keyframes, out, steps=STEPS):
    return [
        *("propagate", str(clip), "--keyframes", str(keyframes), "--out", str(out)),
        *("--device", "cpu", "--seed", "5", "--max-steps", str(steps), "--parent", "none"),
        *("batch=1", "correction_steps=5"),
    ]


def invoke(*given):
    return CliRunner().invoke(main, given)


def hold_training():
    """It waits in its third step."""
    make_lite_small()
    steps = iter(range(1, STEPS + 1))
    hold(finetune, "_step", lambda *_: next(steps) == 3)


def save_and_hold():
    """A checkpoint after the first step, and then it waits: nobody wants to wait 20 s in a test."""
    make_lite_small()
    finetune.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    hold(finetune, "_save")


def hold_segmenting(frames):
    """It waits after so many frames."""
    make_lite_small()
    hold(ClipSegmenter, "_count", lambda segmenter: segmenter._done >= frames)


class Terminal:
    """A process whose error stream is a terminal, and what it has shown so far."""

    def __init__(self, told, prepare, *given):
        self.told = told  # the file of its output
        ours, theirs = pty.openpty()
        self.process = start_command(
            list(given), told, prepare, os.ttyname(theirs), {"TERM": "xterm", "COLUMNS": "120"}
        )
        self.theirs = theirs  # open until the process has opened it, too
        self.shown = ""
        self.reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
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
        wait_until(lambda: re.search(pattern, self.shown) or not self.process.is_alive())
        assert re.search(pattern, self.shown), self.shown

    def end(self):
        (status,) = ended(self.process)
        os.close(self.theirs)
        self.reader.join(600)
        assert not self.reader.is_alive(), "what the command started goes on"
        lines = [line.strip() for line in re.split(r"[\r\n]+", self.shown) if line.strip()]
        return status, self.told.read_text(), lines


@pytest.fixture(scope="module")
def narrow():
    """The small network in this process."""
    with with_small_lite():
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory, narrow):
    """A tiny clip, two keyframes, and an uninterrupted run of them."""
    root = tmp_path_factory.mktemp("project")
    (root / "clip").mkdir()
    for index in range(6):
        Image.fromarray(tiny_frame(index)).save(root / "clip" / f"{index:05d}.png")
    write_keyframes(root / "masks", 0, 3, white=True)
    done = invoke(*arguments(root / "clip", root / "masks", root / "whole"))
    assert done.exit_code == 0, done.output
    return root, done


def given(root, out):
    return arguments(root / "clip", root / "masks", out)


def files_of(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def assert_as_whole(root, out):
    assert bytes_of(out / "masks") == bytes_of(root / "whole" / "masks")
    assert files_of(out) == ["confidence.json", "masks", "network.safetensors", "run.json"]
    one, other = (load_network(path).network.state_dict() for path in (out, root / "whole"))
    assert all(np.array_equal(one[key], other[key]) for key in one)


def told_before(done):
    """Without the lines of progress, one every 15 s on a slow machine."""
    return [line for line in done.stderr.splitlines() if not re.match("fine-tuning|segmenting", line)]


def test_a_run_tells_why_it_stopped_and_where_the_masks_are(project):
    root, done = project
    warnings = told_before(done)
    assert all("does not reproduce the keyframes' masks" in warning for warning in warnings)
    first, repeated, second = done.stdout.splitlines()
    assert re.fullmatch(r"the network reproduces the keyframes: object 1 with IoU [01]\.\d\d", repeated)
    assert re.fullmatch(rf"fine-tuned in {STEPS} steps \(\d+ s\)", first)
    assert second == f"6 masks in {root / 'whole' / 'masks'}, 2 of them copied keyframes"
    for file in (root / "masks").iterdir():
        assert np.array_equal(read_labels(root / "whole" / "masks" / file.name), read_labels(file))
    assert read_record(root / "whole" / "run.json").seed == 5


def test_a_finished_run_is_not_repeated(project, tmp_path, caplog):
    root, _ = project
    caplog.set_level("INFO")
    shutil.copytree(root / "whole", tmp_path / "run")
    before = bytes_of(tmp_path / "run" / "masks")
    again = invoke(*given(root, tmp_path / "run"))
    assert (again.exit_code, again.stderr) == (0, "")
    assert caplog.messages == ["all masks are there already"]
    assert bytes_of(tmp_path / "run" / "masks") == before
    assert again.stdout.startswith(f"already fine-tuned in {STEPS} steps")


def test_only_with_more_details_the_end_of_training_is_told_in_numbers(project, tmp_path, caplog):
    root, done = project
    caplog.set_level("DEBUG", "dextr_vos")
    shutil.copytree(root / "whole", tmp_path / "run")
    again = invoke("-v", *given(root, tmp_path / "run"))
    assert again.exit_code == 0
    assert "loss" not in done.stdout + again.stdout
    assert any(re.fullmatch(r"the loss .* was \d\.\d{3} at its end", line) for line in caplog.messages)


def test_where_nothing_changed_pytorch_is_not_needed(project, tmp_path):
    root, _ = project
    shutil.copytree(root / "whole", tmp_path / "run")
    without = "import sys; sys.modules['torch'] = None; from dextr_vos.cli.main import main; main()"
    again = subprocess.run(
        [sys.executable, "-c", without, *given(root, tmp_path / "run")], capture_output=True, text=True
    )
    assert (again.returncode, again.stderr) == (0, "all masks are there already\n")
    assert "6 masks in" in again.stdout


def test_a_mask_that_changed_is_noticed_though_time_and_size_of_its_file_did_not(project, tmp_path, caplog):
    root, _ = project
    caplog.set_level("INFO")
    shutil.copytree(root / "whole", tmp_path / "run")
    for folder in ("clip", "masks"):
        shutil.copytree(root / folder, tmp_path / folder)
    file = tmp_path / "masks" / "00000.png"
    before = file.stat()
    for index in range(3):  # PNGs without compression are of one size
        mask = np.zeros((48, 64), np.uint8)
        mask[10:30, 10 + 10 * index : 40 + 10 * index] = 255
        Image.fromarray(mask).save(file, compress_level=0)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert invoke(*given(tmp_path, tmp_path / "run")).exit_code == 0
        assert "all masks are there already" not in caplog.messages
        assert np.array_equal(read_labels(tmp_path / "run" / "masks" / "00000.png"), read_labels(file))
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_a_part_of_the_clip_is_propagated_and_what_is_missing_is_told(project, tmp_path):
    root, _ = project
    out = tmp_path / "run"
    done = invoke(*given(root, out), "--frames", "last,00001-2", "--direction", "forward")
    assert done.exit_code == 0, done.output
    assert f"5 of 6 masks in {out / 'masks'}, 2 of them copied keyframes" in done.stdout
    assert not (out / "masks" / "00004.png").exists()
    export = invoke("export", str(root / "clip"), "--masks", str(out), "--video", str(tmp_path / "a.mp4"))
    assert export.exit_code == 2
    assert "has no masks of 1 of 6 frames" in export.stderr
    assert "after propagate with --frames or --direction, run it again without them" in export.stderr
    assert invoke("suggest", str(out)).exit_code == 0
    assert invoke(*given(root, out)).exit_code == 0
    assert_as_whole(root, out)


def test_a_correction_says_what_it_goes_on_from(project, tmp_path, caplog):
    root, _ = project
    caplog.set_level("INFO")
    out, masks = tmp_path / "run", tmp_path / "masks"
    shutil.copytree(root / "whole", out)
    shutil.copytree(root / "masks", masks)
    write_keyframes(masks, 5)
    corrected = invoke(*arguments(root / "clip", masks, out))
    assert corrected.exit_code == 0, corrected.stderr
    assert any("with the network of the last run" in message for message in caplog.messages)
    assert corrected.stdout.startswith("fine-tuned in 5 steps")
    assert "3 of them copied keyframes" in corrected.stdout
    for index in (1, 2):
        assert (out / "masks" / f"{index:05d}.png").read_bytes() == (
            root / "whole" / "masks" / f"{index:05d}.png"
        ).read_bytes()
    assert (
        read_record(out / "run.json").continued_from == read_record(root / "whole" / "run.json").fingerprint
    )


def test_fresh_begins_anew(project, tmp_path):
    root, _ = project
    out, masks = tmp_path / "run", tmp_path / "masks"
    shutil.copytree(root / "whole", out)
    shutil.copytree(root / "masks", masks)
    write_keyframes(masks, 5)
    result = invoke(*arguments(root / "clip", masks, out, steps=3), "--fresh")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("fine-tuned in 3 steps")
    assert read_record(out / "run.json").continued_from is None


def test_the_time_that_is_up_is_said(project, tmp_path, monkeypatch):
    """A budget that segmenting alone would use up, whatever machine this is."""
    from dextr_vos.propagation import session

    root, _ = project
    monkeypatch.setattr(session, "seconds_a_frame", lambda *_: 1000.0)
    result = invoke(*given(root, tmp_path / "run"), "--budget", "10")
    assert re.fullmatch(ABOUT.format(steps=0), told_before(result)[0])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("not fine-tuned, the time was up\n")
    assert "6 masks in" in result.stdout


def test_what_is_left_of_a_run_goes_on_to_suggest_and_segment(project, tmp_path):
    root, _ = project
    suggested = invoke("suggest", str(root / "whole"))
    assert suggested.stdout.strip() in {"00001", "00002", "00004", "00005"}
    result = invoke(
        *("segment", str(root / "clip"), "--run", str(root / "whole")),
        *("--out", str(tmp_path / "applied"), "--device", "cpu"),
    )
    assert (result.exit_code, result.stdout) == (0, f"6 masks in {tmp_path / 'applied'}\n")
    masks = sorted(path.name for path in (tmp_path / "applied").glob("[!.]*"))
    assert masks == [f"{index:05d}.png" for index in range(6)]


@pytest.mark.slow
def test_a_training_that_is_stopped_and_then_killed_ends_as_if_it_had_not_been(project, tmp_path, caplog):
    root, _ = project
    out = tmp_path / "run"
    terminal = Terminal(tmp_path / "told.txt", hold_training, *given(root, out))
    terminal.wait_for(r"fine-tuning.* [1-9]\d*/12 loss \d\.\d{3} ")  # the bar, with loss
    os.kill(terminal.process.pid, signal.SIGINT)
    status, output, lines = terminal.end()
    assert (status, output) == (130, "")
    (line,) = [line for line in lines if "dextr-vos:" in line]
    stopped = re.fullmatch(
        r"dextr-vos: stopped after (\d+) steps; the same command continues from there", line
    )
    assert stopped
    assert lines[-1] == line
    assert not any("Traceback" in line for line in lines)
    assert files_of(out) == ["training.pt"]
    before = (out / "training.pt").stat().st_mtime_ns
    process = start_command(given(root, out), tmp_path / "told.txt", save_and_hold)
    wait_until(lambda: (out / "training.pt").stat().st_mtime_ns != before, process)
    process.kill()
    assert ended(process) == [-signal.SIGKILL]
    caplog.set_level("INFO")
    resumed = invoke(*given(root, out))
    assert resumed.exit_code == 0
    (steps,) = [re.fullmatch(r"continuing from step (\d+)", one) for one in caplog.messages if "step" in one]
    assert int(steps[1]) > int(stopped[1])
    assert_as_whole(root, out)


@pytest.mark.slow
def test_segmenting_that_is_stopped_and_then_killed_keeps_the_masks_made_so_far(narrow, tmp_path, caplog):
    clip, out = tmp_path / "clip", tmp_path / "run"
    clip.mkdir()
    Image.fromarray(tiny_frame(0)).save(clip / "00000.png")
    for index in range(1, MANY):
        os.link(clip / "00000.png", clip / f"{index:05d}.png")
    command = arguments(clip, write_keyframes(tmp_path / "masks", 0), out, steps=2)
    terminal = Terminal(tmp_path / "told.txt", partial(hold_segmenting, 10), *command)
    terminal.wait_for(rf"segmenting, steps.* ([5-9]|\d\d+)/{MANY} ")
    os.kill(terminal.process.pid, signal.SIGINT)
    status, _, lines = terminal.end()
    assert status == 130
    stopped = re.fullmatch(
        rf"dextr-vos: stopped after (\d+) of {MANY} steps.* the same command .*", lines[-1]
    )
    first = made_so_far(out)
    assert len(first) == int(stopped[1])
    terminal = Terminal(tmp_path / "told.txt", partial(hold_segmenting, 60), *command)
    wait_until(lambda: made_so_far(out).keys() > first.keys(), terminal.process)
    terminal.process.kill()
    assert terminal.end()[0] == -signal.SIGKILL
    second = made_so_far(out)
    assert first.items() < second.items()
    caplog.set_level("INFO")
    assert invoke(*command).exit_code == 0
    assert "the network is trained already" in caplog.messages
    assert sorted(bytes_of(out / "masks")) == [f"{index:05d}.png" for index in range(MANY)]
    recorded = sorted(second, key=second.get)[:-1]  # the last one perhaps not yet, and is then made again
    assert len(recorded) >= len(first) > 0
    assert all((out / "masks" / name).stat().st_mtime_ns == second[name] for name in recorded)


def made_so_far(out):
    """When each mask of the unfinished run was written."""
    assert not (out / "masks").exists()
    (unfinished,) = out.glob(".next-*")
    return {path.name: path.stat().st_mtime_ns for path in (unfinished / "masks").glob("[0-9]*.png")}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--keyframes", "{root}/nowhere"], "there are no keyframes"),
        (["--keyframes", "{root}/clip"], "grey levels|colours are not"),
        (["--out", "{root}/clip/00000.png"], "is a file; expected a folder"),
        (["--out", "/proc/nowhere/run"], "cannot read or write /proc/nowhere: No such file"),
        (["--parent", "{root}/none.pth"], "there is no checkpoint"),
        (["--parent", "{root}/clip/00000.png"], "00000.png"),
        (["--frames", "2-9"], r"'2-9' goes beyond the last frame of .*clip, 5; did you mean 2-5\?"),
        (["--device", "toaster"], "unknown device 'toaster'"),
        (["--seed", "-1"], "invalid value for '--seed'"),
        (["--seed", "99999999999999999999"], "invalid value for '--seed'"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_status_2(project, tmp_path, options, words, capfd):
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
    "options",
    [
        ["--model", "large"],
        ["--max-steps", "0"],
        ["--seed", "x"],
        ["--keyframe", "a"],
        ["--budget", "0"],
        ["--direction", "up"],
        ["--budget", "soon"],
        ["--budget", "nan"],
        ["--fresh=no"],
    ],
)
def test_unknown_options_are_refused(project, tmp_path, options):
    root, _ = project
    result = invoke(*given(root, tmp_path / "run"), *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
