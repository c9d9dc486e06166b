"""Video files as clips, through PyAV: every frame exact, in any order."""
