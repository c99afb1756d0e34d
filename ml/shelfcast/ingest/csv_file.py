"""Reader of CSV files as spreadsheets, databases and programs write them (docs/data.md)."""

from __future__ import annotations

import csv as python_csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shelfcast.ingest.column_search import ColumnSearch
from shelfcast.ingest.csv_encoding import DAMAGED, as_utf8, without_damage
from shelfcast.ingest.csv_header import Header, read_header
from shelfcast.ingest.csv_quotes import check_quotes, row_ends
from shelfcast.ingest.decompression import CSV_ENDINGS, decompress
from shelfcast.ingest.location import Folder
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError

#: Arrow's limit for a block, and so for a row.
_LARGEST_BLOCK = 2**31 - 1


@dataclass(frozen=True)
class _Rows:
    """Rows of a file.

    Attributes:
        cells: Columns of the rows with as many cells as the header, without surrounding spaces.
        numbers: Numbers of these rows, from 0.
        invalid: Number and text of each other row.
    """

    cells: list[pa.Array]
    numbers: npt.NDArray[np.int64]
    invalid: list[tuple[int, str]]


def read_csv(path: Path, search: ColumnSearch) -> SourceFile:
    """Reads the columns of a file ``name.csv``, or of its compressed form.

    Raises:
        UserError: The file cannot be read, or ``parse_csv`` refuses it.
    """
    found = Folder(str(path.parent)).find(*(f"{path.stem}.{ending}" for ending in CSV_ENDINGS))
    if found is None:
        raise UserError(
            "BadData",
            f"there is no file {path}; a folder in the Walmart layout has train.csv, features.csv and "
            "stores.csv",
        )
    name, data = found
    return parse_csv(name, decompress(name, data), search)


def parse_csv(name: str, data: bytes, search: ColumnSearch, encoding: str = "utf-8") -> SourceFile:
    """Reads the columns that are searched for; rows without any content are ignored.

    Args:
        name: Name of the file, for messages.
        data: Content of the file.
        search: Columns that must be there or may be there.
        encoding: Encoding as for ``as_utf8``.

    Raises:
        UserError: ``BadData``: the file is not text, has no rows, lacks a column, or a quote is not closed.
    """
    text, notes = as_utf8(name, data, encoding)
    text, damage = without_damage(name, text)
    header = read_header(name, text, search)
    columns = search.find(f"{name}:{header.line}", header.names)
    used = columns.used
    unnamed = [position for position, column in enumerate(header.names) if column == ""]
    rows = memoryview(text)[header.rows_start :]
    found = _parse(name, text, header, [*(header.names.index(column) for column in used), *unnamed])
    if damage is not None:
        damaged = {column for column, cells in zip(used, found.cells, strict=False) if _has_damage(cells)}
        if damaged and not search.leaves_out_unreadable:
            raise damage
        columns = columns.without(damaged)
    count = len(found.numbers) + len(found.invalid)
    ends, lines = row_ends(name, rows, header.rows_line, header.delimiter, count)
    found = _with_spare_cells(_without_blank(found, rows, ends, header.delimiter), header, used, unnamed)
    unread = search.unread(header.names, columns)
    for position, cells in zip(unnamed, found.cells[len(used) :], strict=True):
        if pc.any(pc.not_equal(cells, "")).as_py():
            unread.append(f"column {position + 1}, which has no name")
    file = SourceFile(
        name,
        columns.cells(dict(zip(used, found.cells, strict=False)), len(found.numbers)),
        columns.labels,
        lines[found.numbers],
        tuple(columns.constants),
        [(int(lines[number]), row) for number, row in found.invalid],
        tuple(unread),
        (*notes, *(f"{name}: {note}" for note in header.notes)),
        may_have_decimal_commas=header.delimiter != ",",
    )
    if file.row_count == 0 and not search.may_be_empty:
        raise UserError("BadData", f"{name} has a header but no rows")
    return file


def _parse(name: str, text: bytes, header: Header, positions: Sequence[int]) -> _Rows:
    rows = memoryview(text)[header.rows_start :]
    if len(rows) == 0:
        return _Rows([pa.array([], pa.string()) for _ in positions], np.zeros(0, np.int64), [])
    has_quotes = b'"' in text
    try:
        return _read(rows, header, positions, has_quotes)
    except pa.ArrowInvalid as error:
        if has_quotes:
            check_quotes(name, rows, header.rows_line, header.delimiter)
        if "straddling" in str(error):
            return _read(rows, header, positions, has_quotes, min(len(rows) + 1, _LARGEST_BLOCK))
        raise UserError("BadData", f"cannot read {name} as CSV: {error}; save it as CSV in UTF-8") from error


def _has_damage(cells: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring(cells, DAMAGED)).as_py())


def _read(
    rows: memoryview, header: Header, positions: Sequence[int], has_quotes: bool, block: int | None = None
) -> _Rows:
    invalid: list[tuple[int, str]] = []

    def on_invalid_row(row: csv.InvalidRow) -> str:
        invalid.append((row.number - 1, row.text))
        return "skip"

    # Names need not be unique, positions are.
    names = [str(position) for position in range(len(header.names))]
    used = [str(position) for position in positions]
    table = csv.read_csv(
        pa.BufferReader(pa.py_buffer(rows)),
        # Row numbers need a single thread, and count blank lines.
        read_options=csv.ReadOptions(use_threads=False, column_names=names, block_size=block),
        parse_options=csv.ParseOptions(
            delimiter=header.delimiter,
            invalid_row_handler=on_invalid_row,
            ignore_empty_lines=False,
            newlines_in_values=has_quotes,
        ),
        convert_options=csv.ConvertOptions(
            include_columns=used,
            column_types=dict.fromkeys(used, pa.string()),
            strings_can_be_null=False,
        ),
    )
    cells = [pc.utf8_trim_whitespace(table.column(column).combine_chunks()) for column in used]
    is_valid = np.ones(len(table) + len(invalid), np.bool_)
    is_valid[[number for number, _ in invalid]] = False
    return _Rows(cells, np.flatnonzero(is_valid), invalid)


def _without_blank(rows: _Rows, text: memoryview, ends: npt.NDArray[np.int64], delimiter: str) -> _Rows:
    """Returns the rows that have text in any column, read or not."""
    is_empty = np.ones(len(rows.numbers), np.bool_)
    for cells in rows.cells:
        if is_empty.any():
            is_empty &= pc.equal(cells, "").to_numpy(zero_copy_only=False)
    blank = [n for n in np.flatnonzero(is_empty) if _is_blank(_row(text, ends, rows.numbers[n]), delimiter)]
    invalid = [(number, row) for number, row in rows.invalid if not _is_blank(row, delimiter)]
    if not blank:
        return _Rows(rows.cells, rows.numbers, invalid)
    keep = np.ones(len(rows.numbers), np.bool_)
    keep[blank] = False
    return _Rows([cells.filter(pa.array(keep)) for cells in rows.cells], rows.numbers[keep], invalid)


def _row(text: memoryview, ends: npt.NDArray[np.int64], number: int) -> str:
    start = ends[number - 1] + 1 if number > 0 else 0
    return bytes(text[start : ends[number]]).decode("utf-8", "replace")


def _is_blank(row: str, delimiter: str) -> bool:
    return not any(_split(row, delimiter))


def _split(row: str, delimiter: str) -> list[str]:
    """Returns the cells of one row without surrounding spaces."""
    try:
        return [cell.strip() for cell in next(python_csv.reader([row], delimiter=delimiter), [])]
    except python_csv.Error:
        # Python's module refuses cells of more than 131,072 characters.
        return [row]


def _with_spare_cells(rows: _Rows, header: Header, used: Sequence[str], unnamed: Sequence[int]) -> _Rows:
    """Returns the rows together with those that differ only in empty cells without a name at their end.

    Excel leaves them out from one row on.
    """
    named = max((n for n, name in enumerate(header.names, 1) if name), default=0)
    positions = [*(header.names.index(column) for column in used), *unnamed]
    numbers, spare, invalid = [], [], []
    for number, row in rows.invalid:
        cells = _split(row, header.delimiter)
        if len(cells) >= named and not any(cells[len(header.names) :]):
            cells += [""] * (len(header.names) - len(cells))
            numbers.append(number)
            spare.append([cells[position] for position in positions])
        else:
            invalid.append((number, row))
    if not numbers:
        return rows
    all_numbers = np.concatenate([rows.numbers, np.array(numbers, np.int64)])
    order = np.argsort(all_numbers)
    cells = [
        pa.concat_arrays([column, pa.array(more, pa.string())]).take(pa.array(order))
        for column, more in zip(rows.cells, zip(*spare, strict=True), strict=True)
    ]
    return _Rows(cells, all_numbers[order], invalid)
