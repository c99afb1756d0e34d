"""Loads sales (generated, or CSV in the Walmart layout) into append-only tables and names the snapshot."""
