"""Contracts with TypeScript: dataclasses generated from the schemas in contracts/, and their JSON."""
