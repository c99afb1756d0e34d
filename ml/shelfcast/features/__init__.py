"""Computes leak-free features of a snapshot, registers them with Feast and materializes the newest online."""
