"""How fast the parts are on this machine: medians, measured one after the other in one run."""
