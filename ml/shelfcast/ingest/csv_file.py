"""Reads CSV as it comes: LF, CRLF or CR line ends, with or without a byte order mark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shelfcast.job import UserError

_LINE_FEED = 10


@dataclass(frozen=True)
class CsvFile:
    """A CSV file as text.

    Attributes:
        name: File name, for messages.
        columns: The wanted columns by name, as strings without surrounding spaces.
        lines: Line number of each row of ``columns`` in the file; the header is line 1.
        malformed: (line, text) of rows with another number of cells than the header.
    """

    name: str
    columns: dict[str, pa.Array]
    lines: np.ndarray
    malformed: list[tuple[int, str]]

    @property
    def row_count(self) -> int:
        """Rows in the file, malformed ones included."""
        return len(self.lines) + len(self.malformed)


def read_csv(path: Path, wanted: tuple[str, ...]) -> CsvFile:
    """Reads the wanted columns of a file; others and blank lines are ignored.

    Raises:
        UserError: No such file, not UTF-8, no rows, a column is missing, or a cell spans lines.
    """
    data = _with_lf(path)
    header = data[: data.find(b"\n")].decode("utf-8", errors="replace")
    names = [name.strip().strip('"') for name in header.split(",")]
    _check_header(path, names, wanted)
    table, invalid = _parse(path, data, names, wanted)
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _LINE_FEED)
    if 1 + len(table) + len(invalid) != len(ends):
        line = _open_quote(data)
        raise UserError("BadData", f"{path.name}:{line}: a quote is never closed on its line; close it")
    lines = np.setdiff1d(np.arange(2, len(ends) + 1), [line for line, _ in invalid], assume_unique=True)
    is_row = ~np.isin(lines, np.flatnonzero(np.diff(ends) == 1) + 2)
    columns = {
        name: pc.utf8_trim_whitespace(table.column(name).combine_chunks().filter(pa.array(is_row)))
        for name in wanted
    }
    malformed = [(line, text) for line, text in invalid if text.strip()]
    file = CsvFile(path.name, columns, lines[is_row], malformed)
    if file.row_count == 0:
        raise UserError("BadData", f"{path} has a header but no rows")
    return file


def _parse(
    path: Path, data: bytes, names: list[str], wanted: tuple[str, ...]
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Returns the rows that have a cell for each name, and (line, text) of all others."""
    invalid: list[tuple[int, str]] = []

    def on_invalid_row(row: csv.InvalidRow) -> str:
        invalid.append((row.number, row.text))
        return "skip"

    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            # Only a single thread tells row numbers; they are line numbers only if blank lines count.
            read_options=csv.ReadOptions(use_threads=False, column_names=names, skip_rows=1),
            parse_options=csv.ParseOptions(invalid_row_handler=on_invalid_row, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise UserError("BadData", f"cannot read {path} as CSV in UTF-8: {error}; save it as such") from error
    return table, invalid


def _open_quote(data: bytes) -> int:
    """Returns the likeliest line: the first with an odd number of quotes, else the first with any."""
    quotes = ((text.count(b'"'), line) for line, text in enumerate(data.split(b"\n"), 1))
    return min((count % 2 == 0, line) for count, line in quotes if count)[1]


def _with_lf(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            "BadData",
            f"cannot read {path}: {error.strerror}; "
            "a folder in the Walmart layout has train.csv, features.csv and stores.csv",
        ) from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.strip():
        raise UserError("BadData", f"{path} is empty; it needs a header line and rows")
    return data if data.endswith(b"\n") else data + b"\n"


def _check_header(path: Path, names: list[str], wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise UserError(
            "BadData",
            f"{path.name}:1: no column {', '.join(missing)}; the header is {','.join(names)} "
            f"and must have {','.join(wanted)}",
        )
    twice = sorted({name for name in wanted if names.count(name) > 1})
    if twice:
        raise UserError(
            "BadData", f"{path.name}:1: column {', '.join(twice)} is there twice; keep one of them"
        )
