"""Reader of Excel workbooks as text, so that the cell rules of CSV apply to them, too."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ingest.column_search import ColumnSearch
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError

#: Endings of the workbooks that are read.
WORKBOOK_ENDINGS = ("xlsx", "xlsm")
#: Largest workbook in bytes when unzipped; its cells need 16 times as much memory.
LARGEST_WORKBOOK = 128 * 2**20
#: Maximum number of cells of the rectangle that holds all cells of a sheet with a value.
_MOST_CELLS = 20_000_000
#: First bytes of workbooks before 2007, and of those with a password.
_OLD_OR_ENCRYPTED = b"\xd0\xcf\x11\xe0"
#: Number of rows in which a header is looked for below titles.
_TITLE_ROWS = 20
#: Number from which Excel has lost digits; an id of that length must be text.
_INEXACT = 1e15
_EXAMPLES = 3

_Row = Sequence[Any]


def read_workbook(name: str, data: bytes, search: ColumnSearch) -> SourceFile:
    """Reads the columns that are searched for, of the declared sheet or of the only one that has data.

    Raises:
        UserError: ``BadData``: the workbook cannot be read, has several sheets, titles above its header, no
            rows or no such column, or a cell that is read has no value of its own.
    """
    _check_archive(name, data)
    book = _open(name, data)
    sheet, notes = _chosen(name, book, search.sheet)
    last_row, last_column = _reach(sheet)
    if last_row * last_column > _MOST_CELLS:
        raise UserError(
            "BadData",
            f"{name}: sheet {sheet.title} reaches to row {last_row} and column {last_column}; "
            "delete the rows and columns behind its data, or save it as CSV",
        )
    header, *rows = _filled_rows(name, sheet, search)
    names = [" ".join(_text(cell).split()) for cell in header]
    found = search.find(f"{name}:{header[0].row}", names)
    columns = {column: [row[names.index(column)] for row in rows] for column in found.used}
    if not search.leaves_out_unreadable:
        _check_values(name, sheet.title, columns, data)
    unread = search.unread(names, found)
    for position, column in enumerate(names):
        if column == "" and any(_text(row[position]) for row in rows):
            unread.append(f"column {position + 1}, which has no name")
    if not rows and not search.may_be_empty:
        raise UserError("BadData", f"{name} has a header but no rows")
    cells = {
        column: pc.utf8_trim_whitespace(pa.array(map(_text, of_column), pa.string()))
        for column, of_column in columns.items()
    }
    typed = {column: pa.array(map(_is_typed, of_column), pa.bool_()) for column, of_column in columns.items()}
    return SourceFile(
        name,
        found.cells(cells, len(rows)),
        found.labels,
        np.array([row[0].row for row in rows], np.int64),
        tuple(found.constants),
        unread=tuple(unread),
        notes=tuple(notes),
        may_have_decimal_commas=True,
        typed=found.of_labels({column: cells for column, cells in typed.items() if pc.any(cells).as_py()}),
        sheet=sheet.title,
    )


def _check_archive(name: str, data: bytes) -> None:
    if data.startswith(_OLD_OR_ENCRYPTED):
        raise UserError(
            "BadData",
            f"{name} has a password, or is a workbook of Excel before 2007; save it as .xlsx without a "
            "password",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # No more than these bytes are read, even if an archive holds more.
            size = sum(member.file_size for member in archive.infolist())
    except Exception as error:
        raise _damaged(name, error) from error
    if size > LARGEST_WORKBOOK:
        raise UserError(
            "BadData",
            f"{name} has more than {LARGEST_WORKBOOK // 2**20} MiB when unzipped; save its sheet as CSV or "
            "Parquet",
        )


def _open(name: str, data: bytes, *, has_formulas: bool = False) -> Any:
    # Imported here, because the import takes as long as reading a small file, and most jobs read CSV.
    import openpyxl

    try:
        with warnings.catch_warnings():
            # Parts that openpyxl leaves out, like validation and charts, have no cells.
            warnings.simplefilter("ignore")
            return openpyxl.load_workbook(
                io.BytesIO(data), read_only=has_formulas, data_only=not has_formulas, keep_links=False
            )
    except Exception as error:
        # openpyxl has no error of its own for what a damaged workbook can hold.
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> UserError:
    return UserError("BadData", f"cannot read {name} as a workbook: {error}; save it as .xlsx again")


def _chosen(name: str, book: Any, declared: str | None) -> tuple[Any, list[str]]:
    """Returns the sheet to read, and notes about those that are hidden."""
    for sheet in book.worksheets:
        if declared is not None and sheet.title.casefold() == declared.casefold():
            return sheet, []
    filled = [sheet for sheet in book.worksheets if _has_data(sheet)]
    shown = [sheet for sheet in filled if sheet.sheet_state == "visible"]
    if len(shown) == 1:
        hidden = [sheet.title for sheet in filled if sheet is not shown[0]]
        return shown[0], [f"{name}: the hidden sheet {title} is not read" for title in hidden]
    if not shown:
        raise UserError("BadData", f"{name} has no sheet with data that is not hidden")
    missing = "" if declared is None else f"no sheet {declared}, but "
    titles = ", ".join(sheet.title for sheet in shown)
    raise UserError(
        "BadData",
        f"{name} has {missing}{len(shown)} sheets with data: {titles}; declare the one to read, like "
        f'"sheet": "{shown[0].title}" (--sheet "{shown[0].title}")',
    )


def _has_data(sheet: Any) -> bool:
    return _reach(sheet) != (0, 0)


def _reach(sheet: Any) -> tuple[int, int]:
    """Returns the last row and the last column with a value; formats often reach to the end of the sheet."""
    # openpyxl's own methods make a cell wherever there is none, up to the last one with a format.
    filled = [place for place, cell in sheet._cells.items() if cell.value is not None]
    return max((row for row, _ in filled), default=0), max((column for _, column in filled), default=0)


def _filled_rows(name: str, sheet: Any, search: ColumnSearch) -> list[_Row]:
    """Returns the rows that have text, the header first.

    Raises:
        UserError: ``BadData``: there are none, or titles stand above the header.
    """
    last_row, last_column = _reach(sheet)
    every = sheet.iter_rows(max_row=last_row, max_col=last_column) if last_row > 0 else ()
    rows = [row for row in every if any(map(_text, row))]
    if not rows:
        raise UserError("BadData", f"{name}: sheet {sheet.title} is empty; it needs a header and rows")
    first, *others = rows[: 1 + _TITLE_ROWS]
    header = next((row for row in others if _has_all(row, search)), None)
    if header is None and _count(first) == 1:
        header = max(others, key=_count, default=None)
        header = header if header is not None and _count(header) > 1 else None
    if header is not None and not _has_all(first, search):
        title = next(cell for cell in first if _text(cell))
        raise UserError(
            "BadData",
            f"{name}: cell {title.coordinate} of sheet {sheet.title} has {_text(title)[:40]!r}, which is no "
            f"name of a column; the header seems to be row {header[0].row}: delete the rows above it",
        )
    return rows


def _has_all(row: _Row, search: ColumnSearch) -> bool:
    return len(search.wanted) > 0 and search.count([_text(cell) for cell in row]) == len(search.wanted)


def _count(row: _Row) -> int:
    return sum(_text(cell) != "" for cell in row)


def _check_values(name: str, title: str, columns: dict[str, list[Any]], data: bytes) -> None:
    """Refuses cells without a value of their own: errors, merged cells and formulas without a result.

    Raises:
        UserError: ``BadData``, with the first of these cells.
    """
    cells = [cell for column in columns.values() for cell in column]
    errors = [f"{cell.coordinate} is {cell.value}" for cell in cells if cell.data_type == "e"]
    _refuse(name, title, errors, "correct their formulas, or write values")
    merged = [cell.coordinate for cell in cells if type(cell).__name__ == "MergedCell"]
    _refuse(name, title, [f"{cell} is merged" for cell in merged], "split it and write each cell's value")
    if any(cell.value is None and cell.data_type == "n" for cell in cells):
        formulas = set(_formulas(name, data, title))
        empty = [cell.coordinate for cell in cells if cell.value is None and cell.data_type == "n"]
        unknown = [f"{cell} has a formula without its result" for cell in empty if cell in formulas]
        _refuse(name, title, unknown, "open the workbook in Excel and save it")


def _refuse(name: str, title: str, faults: Sequence[str], remedy: str) -> None:
    if faults:
        more = f" and {len(faults) - _EXAMPLES:,} more" if len(faults) > _EXAMPLES else ""
        raise UserError(
            "BadData", f"{name}: in sheet {title}, {', '.join(faults[:_EXAMPLES])}{more}; {remedy}"
        )


def _formulas(name: str, data: bytes, title: str) -> Iterator[str]:
    sheet = _open(name, data, has_formulas=True)[title]
    # Programs may write a size of the sheet that leaves cells out.
    sheet.reset_dimensions()
    for row in sheet.iter_rows():
        yield from (cell.coordinate for cell in row if cell.data_type == "f")


def _is_typed(cell: Any) -> bool:
    return cell.value is not None and not isinstance(cell.value, str)


def _text(cell: Any) -> str:
    """Returns a cell's value, whatever its format shows."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer():
        return str(int(value)) if abs(value) < _INEXACT else f"{value:.14E}"
    if isinstance(value, datetime) and value.time() == datetime.min.time():
        return value.date().isoformat()
    return str(value).strip()
