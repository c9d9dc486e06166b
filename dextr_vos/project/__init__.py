"""A project: the clips of a folder, each with a workspace of its own."""
