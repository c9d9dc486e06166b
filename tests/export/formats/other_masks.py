"""Masks as files of other programs hold them."""

import base64
import io

import numpy as np
from PIL import Image

SQUARE = np.zeros((48, 64), bool)
SQUARE[10:20, 30:40] = True
OTHER = np.zeros((48, 64), bool)
OTHER[15:40, 5:35] = True


def png_text(mask):
    file = io.BytesIO()
    Image.fromarray(mask).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def counts_of(mask):
    """Uncompressed run lengths."""
    flat = mask.ravel(order="F").astype(int)
    ends = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    return np.diff(ends, prepend=0).tolist()
