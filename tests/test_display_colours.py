"""Twenty colours of objects that people with a colour deficiency tell apart, by simulation."""

import numpy as np
import numpy.typing as npt
import pytest

from dextr_vos.masks import display_colour

COUNT = 20
LEAST = 10.0  # a difference of 2 is noticed side by side

Floats = npt.NDArray[np.float64]

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
SEEN_BY = {
    "everybody": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.180437], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)


def lab(colours: Floats, seen_by: npt.ArrayLike) -> Floats:
    """CIELAB (D65) of sRGB colours, N×3 from 0 to 255, as somebody sees them."""
    scaled = colours / 255
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(seen_by), 0, 1) @ XYZ.T / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(first: Floats, second: Floats) -> Floats:
    """Differences of colours in CIELAB (Sharma, Wu and Dalal 2005); the arrays broadcast."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)

    def weight(chroma: Floats) -> Floats:
        return np.sqrt(chroma**7 / (chroma**7 + 25.0**7))

    stretch = 1.5 - 0.5 * weight((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, stretch * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180
    light, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + turn / 2) % 360
    t = 1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
    t += 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.2 * np.cos(np.radians(4 * hue - 63))
    d_light = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    d_chroma = (c2 - c1) / (1 + 0.045 * chroma)
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2) / (1 + 0.015 * chroma * t)
    rotation = -2 * weight(chroma) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return np.sqrt(d_light**2 + d_chroma**2 + d_hue**2 + rotation * d_chroma * d_hue)


def test_the_difference_is_that_of_the_published_pairs() -> None:
    pairs = [((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425), ((50, 2.5, 0), (73, 25, -18), 27.1492),
             ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082)]  # fmt: skip
    for first, second, difference in pairs:
        assert ciede2000(np.array(first, float), np.array(second, float)) == pytest.approx(
            difference, abs=1e-4
        )


@pytest.mark.parametrize("who", SEEN_BY)
def test_any_two_of_twenty_objects_look_different(who: str) -> None:
    colours = np.array([display_colour(each) for each in range(1, COUNT + 1)], dtype=float)
    seen = lab(colours, SEEN_BY[who])
    differences = ciede2000(seen[:, None], seen[None]) + np.eye(COUNT) * 100
    first, second = np.unravel_index(differences.argmin(), differences.shape)
    assert differences.min() >= LEAST, f"objects {first + 1} and {second + 1} look alike"
    assert display_colour(COUNT + 1) == display_colour(1)
