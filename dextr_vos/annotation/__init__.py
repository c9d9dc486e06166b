"""Stage 1: clicks to masks."""
