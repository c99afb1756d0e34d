"""Forecasters that others wrote, for comparison: no job of the pipeline needs them."""
