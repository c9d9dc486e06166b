"""Published weights and data sets, fetched whole or not at all."""
