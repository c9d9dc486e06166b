"""Clicks on a few frames in, masks of every frame out: DEXTR and OSVOS as one toolkit."""

__version__ = "0.1.0"
