"""Version of the running code."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_VARIABLE = "SHELFCAST_COMMIT"
_PACKAGE = Path(__file__).resolve().parents[1]


def code_version(package: Path = _PACKAGE) -> str:
    """Returns ``SHELFCAST_COMMIT``, else git's commit of the package's sources, else the package's version.

    A commit ends with ``-dirty`` if files differ from it. The function never fails: an image has neither
    git nor a clone.
    """
    return os.environ.get(_VARIABLE) or _commit(package) or _version()


def _commit(package: Path) -> str | None:
    # An installed package may lie inside an unrelated clone: only the clone of its own sources counts.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(package, "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version() -> str:
    try:
        return f"version {version('shelfcast')}"
    except PackageNotFoundError:
        return "unknown"
