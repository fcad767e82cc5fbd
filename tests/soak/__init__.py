"""The campaign `make soak`: what may happen to a machine, done to real processes, and after each round a full check."""
