"""Propagation: masks of a few frames to masks of every frame."""
