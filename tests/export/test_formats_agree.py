"""Formats are listed in several places, for speed and for readers: all lists are the same."""

import re
from pathlib import Path

from dextr_vos.cli import options
from dextr_vos.export.film import FILM_FORMATS
from dextr_vos.export.formats.registry import FORMATS
from dextr_vos.web.exports import PICTURES, export_formats

ROOT = Path(__file__).parents[2]
NAME = r"^\| `([a-z0-9][a-z0-9-]+)` \|"  # of a format, at the beginning of a table's row


def test_every_list_of_formats_has_those_that_are_there():
    for_masks, for_film = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8").split("## For film")
    tables = for_masks.split("## Opened by")[0], for_film
    assert list(options.MASK_FORMATS) == re.findall(NAME, tables[0], re.MULTILINE) == list(FORMATS)
    assert list(options.FILM_FORMATS) == re.findall(NAME, tables[1], re.MULTILINE) == list(FILM_FORMATS)
    on_the_page = {each["name"]: bool(each["read"]) for each in export_formats()}
    assert list(on_the_page) == [*FORMATS, *FILM_FORMATS, *PICTURES]
    assert [name for name, is_read in on_the_page.items() if is_read] == list(FORMATS)
