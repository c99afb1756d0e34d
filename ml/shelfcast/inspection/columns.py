"""Columns of a file of sales, as they are, with what their cells look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ingest.cell_rules import FLAG, MISSING, NUMBER_OR_MISSING
from shelfcast.ingest.column_search import ColumnSearch, FoundColumns
from shelfcast.ingest.dates import date_rule
from shelfcast.ingest.regional_cells import Regional, plain_cells
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError

#: Share of the cells that must be dates or numbers for a column to be one of dates or numbers.
_MOST = 0.9


class EveryColumn(ColumnSearch):
    """Search that finds each column with a name."""

    def find(self, where: str, names: Sequence[str]) -> FoundColumns:
        """Returns all columns."""
        if not any(names):
            raise UserError("BadData", f"{where}: no column has a name")
        return FoundColumns({name: (name,) for name in names if name}, {})


EVERY_COLUMN = EveryColumn((), has_time_zone=True, leaves_out_unreadable=True)


@dataclass(frozen=True)
class Column:
    """Content of a column.

    Attributes:
        name: Name of the column.
        cells: Cells as text.
        distinct: Number of different cells that are not missing.
        missing: Number of cells that are empty or NA.
        is_date: Whether most cells are days or moments.
        is_number: Whether most cells are numbers.
        has_dates: Whether some cells are days or moments.
        has_numbers: Whether some cells are numbers.
        is_flag: Whether all cells are flags; 1 and 0 are, too.
        example: First cell that is not missing.
    """

    name: str
    cells: pa.Array
    distinct: int
    missing: int
    is_date: bool
    is_number: bool
    has_dates: bool
    has_numbers: bool
    is_flag: bool
    example: str

    @property
    def kind(self) -> str:
        """Content in a word."""
        if self.is_date:
            return "dates"
        if self.is_number:
            return "numbers"
        return "flags" if self.is_flag else "text"


def columns_of(file: SourceFile, regional: Regional) -> list[Column]:
    """Returns the columns of a file that ``EVERY_COLUMN`` found, read with the declared forms."""
    return [_column(file, name, regional) for name in file.columns]


def _column(file: SourceFile, name: str, regional: Regional) -> Column:
    cells = file.columns[name]
    present = pc.unique(cells.filter(pc.invert(pc.is_in(cells, pa.array(MISSING)))))
    sample = SourceFile(
        file.name,
        {name: present},
        {name: name},
        file.lines[: len(present)],
        may_have_decimal_commas=file.may_have_decimal_commas,
        typed={n: pc.is_in(present, cells.filter(typed)) for n, typed in file.typed.items() if n == name},
    )
    numbers, dates = (_plain(sample, name, regional, as_numbers=wanted) for wanted in (True, False))
    as_dates = _share(~date_rule(has_times=True).check(dates)[1])
    as_numbers = _share(~NUMBER_OR_MISSING.check(numbers)[1])
    return Column(
        name,
        cells,
        len(present),
        int(pc.sum(pc.is_in(cells, pa.array(MISSING))).as_py() or 0),
        is_date=as_dates >= _MOST,
        is_number=as_numbers >= _MOST,
        has_dates=as_dates > 0,
        has_numbers=as_numbers > 0,
        is_flag=_share(~FLAG.check(present)[1]) == 1,
        example=present[0].as_py() if len(present) else "",
    )


def _share(mask: npt.NDArray[np.bool_]) -> float:
    return float(mask.mean()) if len(mask) else 0.0


def _plain(file: SourceFile, name: str, regional: Regional, *, as_numbers: bool) -> pa.Array:
    try:
        numbers, dates = ([name], []) if as_numbers else ([], [name])
        return plain_cells(file, numbers, dates, regional)[0][name]
    except UserError:
        # Two meanings: both are numbers, or both are dates.
        decimal, form = (Regional(decimal="."), Regional(date_format="DD.MM.YYYY"))
        regional = decimal if as_numbers else form
        return plain_cells(file, numbers, dates, regional)[0][name]
