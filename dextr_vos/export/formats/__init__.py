"""Formats of other programs: one file a format, with what writes it and what reads it back."""
