"""Quoted line breaks of CSV: the line of the file at which each row begins."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from shelfcast.job import UserError

_LINE_FEED = 10
_QUOTE = 34

_Positions = npt.NDArray[np.int64]


def row_ends(
    name: str, rows: bytes | memoryview, first_line: int, delimiter: str, count: int
) -> tuple[_Positions, _Positions]:
    """Returns the position of each row's last line break, and the line of the file at which it begins.

    Args:
        name: Name of the file, for messages.
        rows: Rows without the header, each line ended by LF.
        first_line: Line of the file at which the rows begin.
        delimiter: Character between cells.
        count: Number of rows that the parser found.

    Raises:
        UserError: ``BadData``: a quote is not closed.
    """
    characters = np.frombuffer(rows, np.uint8)
    breaks = np.flatnonzero(characters == _LINE_FEED)
    quotes = np.flatnonzero(characters == _QUOTE)
    if not _enclose_cells(characters, quotes, delimiter):
        is_quoted = _within(check_quotes(name, rows, first_line, delimiter), breaks)
    elif count != len(breaks):
        is_quoted = np.searchsorted(quotes, breaks) % 2 == 1
    else:
        is_quoted = np.zeros(len(breaks), np.bool_)
    ends = np.flatnonzero(~is_quoted)
    if len(ends) != count:
        raise UserError("BadData", f"{name}: quotes are not paired; write a quote within a cell twice")
    lines = first_line + np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    return breaks[ends], lines


def check_quotes(name: str, rows: bytes | memoryview, first_line: int, delimiter: str) -> _Positions:
    """Returns start and end of each quoted cell, one row a cell.

    A quote in the middle of an unquoted cell is text.

    Raises:
        UserError: ``BadData``: a quote is not closed, or only lines below and in the middle of a cell.
    """
    separator = re.escape(delimiter.encode())
    cell = re.compile(
        rb"(?:(?<=[\n" + separator + rb'])|\A)"[^"]*+(?:""[^"]*+)*+("?)(?=([\n' + separator + rb"])?)"
    )
    spans = []
    for match in cell.finditer(rows):
        is_proper = match[1] != b"" and match[2] is not None
        if not is_proper and (match[1] == b"" or b"\n" in match[0]):
            line = first_line + bytes(rows[: match.start()]).count(b"\n")
            raise UserError(
                "BadData",
                f"{name}:{line}: the quote that opens a cell is not closed; close it, and write a quote "
                "within a cell twice",
            )
        spans.append(match.span())
    return np.array(spans, np.int64).reshape(-1, 2)


def _enclose_cells(characters: npt.NDArray[np.uint8], quotes: _Positions, delimiter: str) -> bool:
    """Returns whether every other quote begins a cell and the quote after it ends one, doubled ones apart."""
    if len(quotes) % 2 == 1:
        return False
    is_limit = np.zeros(256, np.bool_)
    is_limit[[_LINE_FEED, ord(delimiter), _QUOTE]] = True
    # The last character is a line break: it stands before the first one, too.
    return bool(is_limit[characters[quotes[::2] - 1]].all() and is_limit[characters[quotes[1::2] + 1]].all())


def _within(spans: _Positions, breaks: _Positions) -> npt.NDArray[np.bool_]:
    """Returns a mask of the breaks that lie in one of the spans."""
    begun = np.searchsorted(spans[:, 0], breaks)
    return begun != np.searchsorted(spans[:, 1], breaks, side="right")  # type: ignore[no-any-return]
