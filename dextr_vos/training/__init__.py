"""Learning ahead of time: DEXTR and the parent of the propagation networks."""
