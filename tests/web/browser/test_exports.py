"""The export menu in a real browser: a format of another program is chosen, made and downloaded."""

import zipfile

import pytest
from conftest import write_tiny_clip
from export.formats.made_masks import write_workspace
from web.browser.conftest import SHORT, Server


@pytest.fixture
def annotated(tmp_path):
    clip = write_tiny_clip(tmp_path / "tiny")
    work = write_workspace(clip, tmp_path / "work").path
    server = Server(clip, *SHORT, out=work)
    yield server
    server.stop()


def test_a_format_from_the_list_is_made_and_downloaded(annotated, open_screen, tmp_path):
    with open_screen(annotated.address) as screen:
        screen.press("x")
        for kind in ("yolo", "rgba"):
            screen.test_id("more-formats").select_option(kind)
            screen.test_id(f"make-{kind}").click()
            screen.test_id(f"download-{kind}").wait_for(timeout=60_000)
            screen.until("() => fetch('/api/state').then((a) => a.json()).then((s) => s.job === null)")
            with zipfile.ZipFile(screen.download(f"download-{kind}", tmp_path)) as archive:
                names = archive.namelist()
            assert ("labels/train/00003.txt" if kind == "yolo" else "00003.png") in names
