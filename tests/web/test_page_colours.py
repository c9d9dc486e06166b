"""The page's colours: text can be read on every background that it has, in both themes."""

import re
from itertools import product

import pytest

from dextr_vos.web.app import STATIC

LEAST = 4.5  # WCAG 2.2, 1.4.3
TEXT = ("ink", "soft", "faint", "accent", "attention", "danger")
BACKGROUNDS = ("bg", "panel", "raised", "raised-2")
_THEMES = {
    "dark": r":root \{(.*?)\}",
    "light": r':root\[data-theme="light"\] \{(.*?)\}',
    "auto": r':root\[data-theme="auto"\] \{(.*?)\}',
}


def _colours(theme: str) -> dict[str, str]:
    found = re.search(_THEMES[theme], (STATIC / "base.css").read_text(), re.DOTALL)
    assert found is not None
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", found[1]))


def _luminance(colour: str) -> float:
    values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in values
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(first: str, second: str) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", _THEMES)
def test_text_can_be_read(theme: str) -> None:
    colours = _colours(theme)
    pairs = [*product(TEXT, BACKGROUNDS), ("on-accent", "accent")]
    ratios = {f"{text} on {back}": _contrast(colours[text], colours[back]) for text, back in pairs}
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < LEAST} == {}
