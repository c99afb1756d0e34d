"""Scores the candidate, the champion and simple baselines on weeks that the candidate never saw."""
