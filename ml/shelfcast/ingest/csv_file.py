"""Reader of CSV files with LF, CRLF or CR line ends, with or without a byte order mark."""

from __future__ import annotations

from csv import Error, reader
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shelfcast.ingest.source_file import SourceFile, check_columns
from shelfcast.job import UserError

_LINE_FEED = 10


def read_csv(path: Path, wanted: tuple[str, ...]) -> SourceFile:
    """Reads the wanted columns of a file; blank lines are ignored.

    Raises:
        UserError: The file cannot be read, or ``parse_csv`` refuses it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            "BadData",
            f"cannot read {path}: {error.strerror}; "
            "a folder in the Walmart layout has train.csv, features.csv and stores.csv",
        ) from error
    return parse_csv(path.name, data, wanted)


def parse_csv(name: str, data: bytes, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> SourceFile:
    """Reads the wanted columns, and the optional ones that are there.

    Raises:
        UserError: ``BadData``: the file is not UTF-8, has no rows, lacks a column, or a cell spans lines.
    """
    data = _with_lf(name, data)
    names = _header(name, data)
    check_columns(f"{name}:1", names, wanted, optional)
    used = tuple(column for column in (*wanted, *optional) if column in names)
    table, invalid = _parse(name, data, names, used)
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _LINE_FEED)
    if 1 + len(table) + len(invalid) != len(ends):
        line = _open_quote(data)
        raise UserError("BadData", f"{name}:{line}: a quote is not closed on its line; close it")
    lines = np.setdiff1d(np.arange(2, len(ends) + 1), [line for line, _ in invalid], assume_unique=True)
    is_row = ~np.isin(lines, np.flatnonzero(np.diff(ends) == 1) + 2)
    columns = {
        column: pc.utf8_trim_whitespace(table.column(column).combine_chunks().filter(pa.array(is_row)))
        for column in used
    }
    malformed = [(line, text) for line, text in invalid if text.strip()]
    unread = tuple(column for column in names if column not in used)
    file = SourceFile(name, columns, lines[is_row], malformed, unread)
    if file.row_count == 0:
        raise UserError("BadData", f"{name} has a header but no rows")
    return file


def _header(name: str, data: bytes) -> list[str]:
    """Returns the cells of the first line; a quoted one may hold a comma."""
    line = data[: data.find(b"\n")].decode("utf-8", errors="replace")
    try:
        return [cell.strip() for cell in next(reader([line], skipinitialspace=True))]
    except Error as error:
        raise UserError("BadData", f"cannot read the header of {name} as CSV: {error}") from error


def _parse(
    name: str, data: bytes, names: list[str], wanted: tuple[str, ...]
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Returns the rows that have a cell for each name, and (line, text) of all others."""
    invalid: list[tuple[int, str]] = []

    def on_invalid_row(row: csv.InvalidRow) -> str:
        invalid.append((row.number, row.text))
        return "skip"

    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            # Row numbers need a single thread, and are line numbers only if blank lines count.
            read_options=csv.ReadOptions(use_threads=False, column_names=names, skip_rows=1),
            parse_options=csv.ParseOptions(invalid_row_handler=on_invalid_row, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise UserError(
            "BadData", f"cannot read {name} as CSV in UTF-8: {error}; save it as CSV in UTF-8"
        ) from error
    return table, invalid


def _open_quote(data: bytes) -> int:
    """Returns the most likely line: the first with an odd number of quotes, else the first with any."""
    quotes = ((text.count(b'"'), line) for line, text in enumerate(data.split(b"\n"), 1))
    return min((count % 2 == 0, line) for count, line in quotes if count)[1]


def _with_lf(name: str, data: bytes) -> bytes:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError("BadData", f"{name} is in UTF-16; save it as CSV in UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.strip():
        raise UserError("BadData", f"{name} is empty; it needs a header line and rows")
    return data if data.endswith(b"\n") else data + b"\n"
