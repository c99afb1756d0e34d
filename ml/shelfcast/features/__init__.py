"""Computes leak-free features of a snapshot, registers them with Feast and materializes the newest online."""

from typing import TypeVar

import typeguard

T = TypeVar("T")


def _unchecked(target: T) -> T:
    return target


# Feast marks its classes with @typechecked, which parses a whole module anew for each method: half of the CPU
# time that an import of Feast takes. Mypy checks what this package calls.
typeguard.typechecked = _unchecked  # type: ignore[assignment]
