"""Computes leak-free features of a snapshot, registers them with Feast and materializes the newest online."""

import importlib
import sys
from types import ModuleType
from typing import TypeVar

import typeguard

T = TypeVar("T")


def _unchecked(target: T) -> T:
    return target


# Feast marks its classes with @typechecked, which parses a whole module anew for each method: half of the CPU
# time that an import of Feast takes. Mypy checks what this package calls.
typeguard.typechecked = _unchecked  # type: ignore[assignment]


class _LazyTorch(ModuleType):
    """Module in place of Feast's wrapper of PyTorch, which imports PyTorch on first use."""

    def get_torch(self) -> ModuleType:
        """Returns PyTorch."""
        return importlib.import_module("torch")


# Feast imports PyTorch for features that are tensors, which none here is; the import takes three seconds.
sys.modules.setdefault("feast.torch_wrapper", _LazyTorch("feast.torch_wrapper"))
