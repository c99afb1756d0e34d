"""A file of a source as text, whatever it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shelfcast.job import UserError


@dataclass(frozen=True)
class SourceFile:
    """Rows of a file, of an object or of a query.

    Attributes:
        name: Its name, for messages.
        columns: Those that are wanted and there, by name, as strings without surrounding spaces.
        lines: Line number of each row of ``columns`` (the header is line 1), or its number where there are no
            lines.
        malformed: (line, text) of rows with another number of cells than the header.
        unread: Columns that nobody wants.
    """

    name: str
    columns: dict[str, pa.Array]
    lines: np.ndarray
    malformed: list[tuple[int, str]] = field(default_factory=list)
    unread: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows in the file, malformed ones included."""
        return len(self.lines) + len(self.malformed)


def check_columns(place: str, names: Sequence[str], wanted: Sequence[str], optional: Sequence[str]) -> None:
    """Refuses names of columns that do not have the wanted ones once.

    Raises:
        UserError: ``BadData``; the message begins with ``place``.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise UserError(
            "BadData",
            f"{place}: no column {', '.join(missing)}; the header is {','.join(names)} "
            f"and must have {','.join(wanted)}",
        )
    twice = sorted({name for name in (*wanted, *optional) if names.count(name) > 1})
    if twice:
        raise UserError("BadData", f"{place}: column {', '.join(twice)} is there twice; keep one of them")
