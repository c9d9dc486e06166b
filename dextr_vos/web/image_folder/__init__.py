"""Separate images in place of a clip, as users of the matplotlib annotation tool have them."""
