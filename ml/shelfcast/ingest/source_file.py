"""File of a source as text, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shelfcast.job import UserError


@dataclass(frozen=True)
class SourceFile:
    """Rows of a file, an object or a query.

    Attributes:
        name: Name of the file, for messages.
        columns: Columns that were asked for and exist, by name, as strings without surrounding spaces.
        lines: Line number of each row of ``columns`` (the header is line 1), or the row number where there
            are no lines.
        malformed: (line, text) of rows with another number of cells than the header.
        unread: Columns that were not asked for.
    """

    name: str
    columns: dict[str, pa.Array]
    lines: np.ndarray
    malformed: list[tuple[int, str]] = field(default_factory=list)
    unread: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        """Number of rows in the file, malformed ones included."""
        return len(self.lines) + len(self.malformed)


def check_columns(where: str, names: Sequence[str], wanted: Sequence[str], optional: Sequence[str]) -> None:
    """Checks that a header has every wanted column, and no column that is read twice.

    Raises:
        UserError: ``BadData``; the message begins with ``where``.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise UserError(
            "BadData",
            f"{where}: no column {', '.join(missing)}; the header is {','.join(names)} "
            f"and must have {','.join(wanted)}",
        )
    twice = sorted({name for name in (*wanted, *optional) if names.count(name) > 1})
    if twice:
        raise UserError("BadData", f"{where}: column {', '.join(twice)} occurs twice; keep one of them")
