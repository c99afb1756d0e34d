"""Header of a CSV file: column names and the character between cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from shelfcast.ingest.column_search import ColumnSearch
from shelfcast.ingest.csv_quotes import check_quotes
from shelfcast.job import UserError

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
#: Excel's first line that declares the delimiter.
_DECLARATION = re.compile(rb'"?sep=(.)"?[ \t,;|]*\n', re.IGNORECASE)
_BLANK_LINES = re.compile(rb"(?:[ \t,;|]*\n)*")


@dataclass(frozen=True)
class Header:
    """Header of a CSV file.

    Attributes:
        names: Names of the columns, without surrounding spaces.
        delimiter: Character between cells.
        line: Line of the file at which the header begins.
        rows_line: Line of the file at which the rows begin.
        rows_start: Position of the rows in the file.
        notes: Sentences for the load's report.
    """

    names: list[str]
    delimiter: str
    line: int
    rows_line: int
    rows_start: int
    notes: list[str]


def read_header(name: str, text: bytes, search: ColumnSearch) -> Header:
    """Reads the first row that is not blank.

    The delimiter is declared by a line ``sep=;``, or it is the one that finds most of the wanted columns,
    then the one that gives most cells, then the first of ``_DELIMITERS``.

    Raises:
        UserError: ``BadData``: there is no header, or it cannot be read.
    """
    declared = _DECLARATION.match(text)
    delimiters = _declared(name, declared) if declared else list(_DELIMITERS)
    start = declared.end() if declared else 0
    blank = _BLANK_LINES.match(text, start)
    assert blank is not None
    start = blank.end()
    if start == len(text):
        raise UserError("BadData", f"{name} is empty; it needs a header line and rows")
    line = 1 + text.count(b"\n", 0, start)
    headers, errors = [], {}
    for delimiter in delimiters:
        try:
            headers.append(_read(text, start, line, delimiter))
        except csv.Error as error:
            errors[delimiter] = error
    found = [search.count(header.names) for header in headers]
    if errors and max(found, default=0) < len(search.wanted):
        delimiter, cause = next(iter(errors.items()))
        check_quotes(name, text[start:], line, delimiter)
        raise UserError("BadData", f"cannot read the header of {name} as CSV: {cause}") from cause
    # The first of equals wins.
    best = max(range(len(headers)), key=lambda n: (found[n], len(headers[n].names)))
    header = headers[best]
    check_quotes(name, text[start : header.rows_start], line, header.delimiter)
    return header


def _declared(name: str, declared: re.Match[bytes]) -> list[str]:
    delimiter = declared[1].decode("utf-8", "replace")
    if delimiter not in _DELIMITERS:
        raise UserError(
            "BadData",
            f"{name}:1: sep={delimiter} is not supported; use {', '.join(_DELIMITERS.values())}",
        )
    return [delimiter]


def _read(text: bytes, start: int, line: int, delimiter: str) -> Header:
    lines = csv.reader(_lines(text, start), delimiter=delimiter, skipinitialspace=True)
    names = [cell.strip() for cell in next(lines)]
    end = start
    for _ in range(lines.line_num):
        end = text.index(b"\n", end) + 1
    notes = [] if delimiter == "," else [f"cells are separated by {_DELIMITERS[delimiter]}"]
    return Header(names, delimiter, line, line + lines.line_num, end, notes)


def _lines(text: bytes, start: int) -> Iterator[str]:
    while start < len(text):
        end = text.index(b"\n", start) + 1
        yield text[start:end].decode("utf-8", "replace")
        start = end
