"""Stage 3: masks to scores."""
