"""Inspection of sales before they are loaded."""
