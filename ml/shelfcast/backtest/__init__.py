"""Backtest on a folder of sales, with point-in-time data at each origin; it needs no services."""
