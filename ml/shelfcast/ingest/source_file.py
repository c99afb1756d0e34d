"""File of a source as text, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class SourceFile:
    """Rows of a file, an object or a query.

    Attributes:
        name: Name of the file, for messages.
        columns: Cells by the user's name of the value, as strings without surrounding spaces.
        labels: The user's name of each value that was found, by the name in the layout.
        lines: Line number of each row of ``columns`` (the header is line 1), or the row number where there
            are no lines.
        constants: Values without a column, each with one constant in all rows, by the name in the layout.
        malformed: (line, text) of rows with another number of cells than the header.
        unread: Columns that were not asked for.
        notes: Sentences on how the file was read, for the load's report.
        may_have_decimal_commas: Whether commas do not separate the cells, so that numbers may have them.
        typed: Whether each cell is a number or a date that is no text, by the user's name of the value: such
            a cell has no form of a country, found or declared. Values without such a cell may be left out.
        sheet: Name of the sheet that was read, of a workbook.
    """

    name: str
    columns: dict[str, pa.Array]
    labels: dict[str, str]
    lines: np.ndarray
    constants: tuple[str, ...] = ()
    malformed: list[tuple[int, str]] = field(default_factory=list)
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    may_have_decimal_commas: bool = False
    typed: Mapping[str, pa.Array] = field(default_factory=dict)
    sheet: str | None = None

    @property
    def row_count(self) -> int:
        """Number of rows in the file, malformed ones included."""
        return len(self.lines) + len(self.malformed)
