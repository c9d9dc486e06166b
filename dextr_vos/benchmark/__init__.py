"""Many pipelines: grids of clips, supervisions and keyframes, and what they come to."""
