"""Functions for CVAT: interaction, tracking and detection for its agents, and a handler for Nuclio."""
