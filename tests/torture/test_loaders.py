"""Fuzzing of every loader: whatever is in a file, it is read, or refused in one sentence, quickly.

`TORTURE_EXAMPLES` says how many changed files each loader is given, others in every run; without it they are
few and always the same.
"""

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask, write_tiny_clip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_page import POINTS, open_page

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.annotation.clicks import read_clicks
from dextr_vos.clip import open_clip
from dextr_vos.config import load_settings
from dextr_vos.errors import DextrVosError
from dextr_vos.images import read_header, read_image
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.run_files import keyframe_names, read_confidence, read_record, shot_names
from dextr_vos.web.image_folder.files import FolderSettings, ProgressFile
from dextr_vos.workspace import Workspace

pytestmark = pytest.mark.torture

LONG = os.environ.get("TORTURE_EXAMPLES")
EXAMPLES = int(LONG or 20)
SLOWEST_S = 10.0

# parts that parsers stumble over
PARTS = [
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 2000, b"{" * 2000, b"9" * 5000, b"NaN", b"1e999", b"-1"),
    *(
        b'"\\ud800"',
        b"null",
        b"[]",
        b"{}",
        b"&a [*a]",
        b"*a",
        b"!!int x",
        b"2026-13-45",
        b"<<: *a",
        b"\n---\n",
    ),
    *(b"\xff" * 8, b"\x7f\xff\xff\xff", b"\0" * 8),
]


# where, how many bytes there go, what comes in their place and how often; None: the bytes themselves
CHANGE = st.tuples(
    st.integers(0, 1 << 20),
    st.sampled_from((0, 1, 1, 4, 64)),
    st.none() | st.binary(max_size=2) | st.sampled_from(PARTS),
    st.sampled_from((1, 1, 2, 50)),
)


def changed(content: bytes, changes: list[tuple[int, int, bytes | None, int]]) -> bytes:
    """A file's content with changes made to it one after the other."""
    for place, length, part, count in changes:
        place %= len(content) + 1
        end = place + length
        put = content[place:end] if part is None else part
        content = content[:place] + put * count + content[end:]
    return content


def write_seeds(root: Path) -> Path:
    """One good file for each loader."""
    root.mkdir()
    clip, work = write_tiny_clip(root / "clip"), root / "work"
    page = open_page(clip, work, objects=2)
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/objects/2/stroke", path=[[50, 40]], radius=3)
    page.do("/api/undo")
    write_labels(root / "mask.png", tiny_mask(0))
    Image.fromarray(tiny_mask(0)).save(root / "mask.tif")
    Image.fromarray(tiny_mask(0)).save(root / "mask.webp", lossless=True)
    np.save(root / "mask.npy", tiny_mask(0))
    for suffix in ("png", "jpg", "tif", "webp", "bmp"):
        Image.fromarray(tiny_frame(0)).save(root / f"frame.{suffix}")
    (root / "clicks.json").write_text(json.dumps({"00000": {"1": POINTS}}))
    (root / "confidence.json").write_text(json.dumps({"00000": {"1": 0.5}, "00001": {"1": 1.0, "2": 0.0}}))
    (root / "run.json").write_text(json.dumps({"keyframes": ["00000"], "cuts": ["00003"], "flashes": []}))
    (root / "progress").write_text(
        json.dumps({"format": "dextr-vos progress", "version": 2, "images": {"a.png": "done"}})
    )
    (root / "folder.yml").write_text(
        "required: &base\n  source: a\n  destination: b\noptional: {update: true, save_format: png}\nadmin:\n"
    )
    return root


def read_workspace(path: Path, seeds: Path) -> None:
    Workspace(path.parent).check_clip(open_clip(seeds / "clip"))


# the file among the seeds, and what reads it
LOADERS: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    **{
        f"mask.{suffix}": (f"mask.{suffix}", lambda path, _: read_labels(path))
        for suffix in ("png", "tif", "webp", "npy")
    },
    **{
        f"frame.{suffix}": (f"frame.{suffix}", lambda path, _: (read_header(path), read_image(path)))
        for suffix in ("png", "jpg", "tif", "webp", "bmp")
    },
    "annotations.json": ("work/annotations.json", lambda path, _: load_annotations(path)),
    "clicks": ("clicks.json", lambda path, seeds: read_clicks(path, open_clip(seeds / "clip"))),
    "confidence": ("confidence.json", lambda path, _: read_confidence(path)),
    "run.json": ("run.json", lambda path, _: (shot_names(path, "cuts"), keyframe_names(path))),
    "record": ("run.json", lambda path, _: read_record(path)),
    "progress": ("progress", lambda path, _: ProgressFile(path)),
    "settings": ("folder.yml", lambda path, _: load_settings(FolderSettings, path)),
    "overrides": (
        "folder.yml",
        lambda path, _: load_settings(
            FolderSettings, None, ["optional.update=" + path.read_bytes().decode("utf-8", "replace")]
        ),
    ),
    "workspace.yaml": ("work/workspace.yaml", read_workspace),
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Good files, which a test changes; the same lie beside them in `whole`."""
    folder = write_seeds(tmp_path_factory.mktemp("fuzzed") / "seeds")
    shutil.copytree(folder, folder.with_name("whole"))
    return folder


@pytest.mark.parametrize("loader", list(LOADERS))
@settings(
    max_examples=EXAMPLES,
    derandomize=LONG is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(changes=st.lists(CHANGE, min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused_in_a_sentence(seeds, loader, changes):
    name, read = LOADERS[loader]
    path, whole = seeds / name, (seeds.with_name("whole") / name).read_bytes()
    path.write_bytes(changed(whole, changes))
    began = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path, seeds)
        said = ""
    except DextrVosError as refused:
        said = str(refused)
    finally:
        path.write_bytes(whole)
    assert "\n" not in said
    assert time.monotonic() - began < SLOWEST_S
