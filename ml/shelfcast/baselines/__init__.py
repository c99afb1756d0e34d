"""Baselines from libraries, for backtests and benchmarks; no job of the pipeline needs them."""
