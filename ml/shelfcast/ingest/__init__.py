"""Loads sales (generated, a folder, a URL or a query) into append-only tables and names the snapshot."""
