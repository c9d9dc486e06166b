"""Annotation: clicks to masks."""
