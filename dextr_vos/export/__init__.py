"""Results to look at and to take elsewhere: one file a format."""
