"""File of a source as text, whatever its format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shelfcast.job import UserError

#: Number or date, which is no name of a column.
_VALUE = re.compile(r"[+-]?[0-9][0-9.,:/TZ-]*$")


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
        notes: Sentences on how the file was read, for the load's report.
        may_have_decimal_commas: Whether commas do not separate the cells, so that numbers may have them.
    """

    name: str
    columns: dict[str, pa.Array]
    lines: np.ndarray
    malformed: list[tuple[int, str]] = field(default_factory=list)
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    may_have_decimal_commas: bool = False

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
    if len(missing) == len(wanted) and any(_VALUE.match(name) for name in names):
        raise UserError(
            "BadData",
            f"{where}: the first row is {','.join(names)}, which looks like data; put a header with "
            f"{','.join(wanted)} above it",
        )
    if missing:
        raise UserError(
            "BadData",
            f"{where}: no column {', '.join(missing)}; the header is {','.join(names)} "
            f"and must have {','.join(wanted)}",
        )
    twice = sorted({name for name in (*wanted, *optional) if names.count(name) > 1})
    if twice:
        raise UserError("BadData", f"{where}: column {', '.join(twice)} occurs twice; keep one of them")
