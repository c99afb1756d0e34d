"""Numbers with decimal commas and dates like 27.01.2012 or 20120127, read where a file proves what they mean.

A proof comes from all cells of a file, never from one: ``1,234`` and ``01/02/2024`` alone have two meanings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ingest.cell_rules import MISSING
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError

#: Share of rows that must be dates in one order of day and month only: 60 % of days are above 12.
_PROOF = 1 / 3
_DATE_PARTS = ("YYYY", "MM", "DD")
_ISO = re.compile(r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})(?P<rest>[ T].*)?")
_DAY_MONTH_YEAR = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4})( .*)?")
#: Year, month and day of the years that sales can be of.
_EIGHT_DIGITS = re.compile(r"((?:19[89]|20[0-9])[0-9])([0-9]{2})([0-9]{2})")
_TWO_MEANINGS = r"^[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}$"
_DOT_AND_THREE = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"
_DOTTED_THOUSANDS = r"^[+-]?[0-9]{1,3}(\.[0-9]{3})+(,|\.[0-9]{3})"
_WITH_DECIMAL_POINT = r"^[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)?(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_WITH_DECIMAL_COMMA = r"^[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+)?(,[0-9]*)?([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class Regional:
    """Declared form of numbers and dates; None to find it in the cells.

    Attributes:
        decimal: Sign before the decimals.
        date_format: Form of dates like ``DD.MM.YYYY``.
    """

    decimal: Literal[".", ","] | None = None
    date_format: str | None = None


def plain_cells(
    file: SourceFile, numbers: Sequence[str], dates: Sequence[str], regional: Regional
) -> tuple[dict[str, pa.Array], list[str]]:
    """Returns the file's columns with decimal points and dates like 2012-01-27, and notes on what changed.

    Args:
        file: File as it was read.
        numbers: Columns of numbers.
        dates: Columns of dates.
        regional: Declared form of both.

    Raises:
        UserError: ``BadData``: the numbers or dates of a file have two meanings.
    """
    columns, notes = dict(file.columns), []
    cells = {name: _texts(file, name) for name in numbers if name in columns}
    plain: dict[str, pa.Array] = {}
    if regional.decimal is not None:
        plain = {name: _declared_numbers(column, regional.decimal) for name, column in cells.items()}
    elif file.may_have_decimal_commas:
        example = _decimal_comma(file, cells)
        if example is not None:
            plain = {name: _with_points(column) for name, column in cells.items()}
            notes.append(f"{file.name}: numbers have decimal commas, like {example}")
    columns |= {name: pc.coalesce(column, columns[name]) for name, column in plain.items()}
    for name in dates:
        if name in columns and regional.date_format is not None:
            columns[name] = _as_iso(columns[name], regional.date_format, keeps_iso=name in file.typed)
        elif name in columns:
            columns[name], note = _iso_dates(file, name, columns[name])
            notes += note
    return columns, notes


def _texts(file: SourceFile, name: str) -> pa.Array:
    """Returns the cells that are text, and null for those that are numbers or dates."""
    cells = file.columns[name]
    typed = file.typed.get(name)
    return cells if typed is None else pc.if_else(typed, pa.scalar(None, pa.string()), cells)


def _decimal_comma(file: SourceFile, columns: Mapping[str, pa.Array]) -> str | None:
    """Returns a number that has a decimal comma for certain, or None where no number has one."""
    comma = _first(file, columns, _certain(",", r"\."))
    point = _first(file, columns, _certain(r"\.", ","))
    unclear = _first(file, columns, _TWO_MEANINGS)
    if comma and point:
        raise UserError(
            "BadData",
            f"{file.name} has numbers with a decimal comma, {comma[1]} in line {comma[0]}, and with a "
            f"decimal point, {point[1]} in line {point[0]}; write all numbers like 1234.5",
        )
    if comma:
        unclear = None
        if not _first(file, columns, _DOTTED_THOUSANDS):
            unclear = _first(file, columns, _DOT_AND_THREE)
    if unclear and not point:
        remedy = "write numbers like 1234.5 and separate cells by commas"
        if file.sheet is not None:
            remedy = "convert such texts to numbers in the workbook"
        raise UserError(
            "BadData",
            f"{file.name}:{unclear[0]}: {unclear[1]} has two meanings, and no other number of the file tells "
            f'which; {remedy}, or declare "decimal": "," or "."',
        )
    return comma[1] if comma else None


def _certain(decimal: str, thousands: str) -> str:
    """Returns the pattern of numbers in which only ``decimal`` can stand before the decimals."""
    return (
        "^[+-]?("
        rf"[0-9]*{decimal}([0-9]{{1,2}}|[0-9]{{4,}})|(|0|[0-9]{{4,}}){decimal}[0-9]+|"
        rf"[0-9]+{decimal}[0-9]+[eE][+-]?[0-9]+|"
        rf"[0-9]{{1,3}}({thousands}[0-9]{{3}})+{decimal}[0-9]+|[0-9]{{1,3}}({thousands}[0-9]{{3}}){{2,}})$"
    )


def _first(file: SourceFile, columns: Mapping[str, pa.Array], pattern: str) -> tuple[int, str] | None:
    """Returns line and text of the first cell that matches."""
    found = [
        (int(file.lines[row]), cells[row].as_py())
        for cells in columns.values()
        for row in [pc.index(pc.match_substring_regex(cells, pattern), True).as_py()]
        if row >= 0
    ]
    return min(found, default=None)


def _with_points(cells: pa.Array, decimal: str = ",") -> pa.Array:
    """Returns numbers with that decimal sign as ``1234.5``; other cells stay."""
    thousands, pattern = (".", _WITH_DECIMAL_COMMA) if decimal == "," else (",", _WITH_DECIMAL_POINT)
    points = pc.replace_substring(pc.replace_substring(cells, thousands, ""), decimal, ".")
    return pc.if_else(pc.match_substring_regex(cells, pattern), points, cells)


def _declared_numbers(cells: pa.Array, decimal: str) -> pa.Array:
    """Returns numbers as ``1234.5``; cells with the other sign become ``not ...``, which is no number."""
    points = _with_points(cells, decimal)
    other = "." if decimal == "," else ","
    is_other = pc.and_(pc.equal(points, cells), pc.match_substring(cells, other))
    return pc.if_else(is_other, pc.binary_join_element_wise("not", cells, " "), points)


def _as_iso(cells: pa.Array, date_format: str, *, keeps_iso: bool) -> pa.Array:
    """Returns dates of a declared form like 2012-01-27, and others as ``not ...``, which is no date."""
    pattern = re.compile(date_pattern(date_format))
    codes = cells.dictionary_encode()
    read = []
    for text in codes.dictionary.to_pylist():
        if text in MISSING:
            read.append(text)
            continue
        found = pattern.fullmatch(text) or (_ISO.fullmatch(text) if keeps_iso else None)
        iso = found and _iso(found["year"], found["month"], found["day"], found["rest"])
        read.append(iso or f"not {text}")
    return pa.array(read, pa.string()).take(codes.indices)


def date_pattern(date_format: str) -> str:
    """Returns the regular expression of a form of dates, with the groups year, month, day and rest.

    Raises:
        ValueError: The form does not have each of YYYY, MM and DD once.
    """
    parts = re.split("(YYYY|MM|DD)", date_format)
    if sorted(part for part in parts if part in _DATE_PARTS) != sorted(_DATE_PARTS):
        raise ValueError(f"{date_format} must have YYYY, MM and DD, each once, like DD.MM.YYYY")
    # Without a character between them, parts have all of their digits.
    is_tight = any(not between for between in parts[2:-1:2])
    digits = {"YYYY": "(?P<year>[0-9]{4})", "MM": "(?P<month>[0-9]{%s2})", "DD": "(?P<day>[0-9]{%s2})"}
    least = "" if is_tight else "1,"
    body = "".join(digits[part].replace("%s", least) if part in digits else re.escape(part) for part in parts)
    return rf"{body}(?P<rest>[ T].*)?"


def _iso_dates(file: SourceFile, name: str, cells: pa.Array) -> tuple[pa.Array, list[str]]:
    codes = cells.dictionary_encode()
    texts = codes.dictionary.to_pylist()
    # Most stores have no closing day.
    present = len(cells) - (pc.sum(pc.is_in(cells, pa.array(MISSING))).as_py() or 0)
    tight = {n: iso for n, text in enumerate(texts) if (iso := _of_eight_digits(text)) is not None}
    if tight and 2 * pc.sum(pc.is_in(codes.indices, pa.array(list(tight), pa.int32()))).as_py() >= present:
        read = [tight.get(n, text) for n, text in enumerate(texts)]
        first = next(iter(tight))
        note = f"{file.name}: {name} has dates without separators, so {texts[first]} is {tight[first]}"
        return pa.array(read, pa.string()).take(codes.indices), [note]
    matches = {n: match for n, text in enumerate(texts) if (match := _DAY_MONTH_YEAR.fullmatch(text))}
    if not matches:
        return cells, []
    rows = np.bincount(codes.indices, minlength=len(texts))
    of_matches = int(sum(rows[n] for n in matches))
    if 2 * of_matches < present:
        return cells, []
    orders = {
        "the day": {n: _iso(m[4], m[3], m[1], m[5]) for n, m in matches.items()},
        "the month": {n: _iso(m[4], m[1], m[3], m[5]) for n, m in matches.items()},
    }
    impossible = {
        first: sum(int(rows[n]) for n, text in dates.items() if text is None)
        for first, dates in orders.items()
    }
    proven = [
        first
        for first, other in (("the day", "the month"), ("the month", "the day"))
        if impossible[first] == 0 and impossible[other] >= _PROOF * of_matches
    ]
    example = texts[next(iter(matches))]
    if proven:
        read = [orders[proven[0]].get(n) or text for n, text in enumerate(texts)]
        note = f"{file.name}: {name} begins with {proven[0]}, so {example} is {read[next(iter(matches))]}"
        return pa.array(read, pa.string()).take(codes.indices), [note]
    if min(impossible.values()) == 0:
        raise UserError(
            "BadData",
            f"{file.name}: {name} may begin with the day or with the month, as in {example}; "
            'write dates like 2012-01-27, or declare "dateFormat": "DD.MM.YYYY" or "MM.DD.YYYY"',
        )
    return cells, []


def _of_eight_digits(text: str) -> str | None:
    match = _EIGHT_DIGITS.fullmatch(text)
    return match and _iso(match[1], match[2], match[3], None)


def _iso(year: str, month: str, day: str, rest: str | None) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat() + (rest or "")
    except ValueError:
        return None
