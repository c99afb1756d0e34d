"""Forecasts a folder of sales as of past weeks, each with what was known then; needs no services."""
