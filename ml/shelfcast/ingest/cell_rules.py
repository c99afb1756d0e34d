"""Rules for the cells and keys of source rows, checked one column at a time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_MAX_ID, _MAX_TYPE = 100, 40
#: Categories of characters that would break a line: control characters, separators of lines and paragraphs.
_NOT_SHOWN = ("Cc", "Zl", "Zp")
#: Long number as spreadsheets and statistics programs write it; its last digits may be lost.
_ROUNDED = re.compile(r"[0-9](\.[0-9]+)?[eE]\+[0-9]{2,3}")

#: Cells that mean "unknown" in columns that allow it.
MISSING = ("NA", "")
#: Cells of flags, in upper case; PostgreSQL writes t and f, and a float column 1.0.
_TRUE, _FALSE = ("TRUE", "T", "YES", "Y", "1", "1.0"), ("FALSE", "F", "NO", "N", "0", "0.0")
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class CellRule:
    """Rule for the cells of a column.

    Attributes:
        name: Name of the rule in ``quality_rules.ROW_RULES``.
        requirement: Requirement in words, after the column's name.
        parse: Function from strings to typed values of the same length, null where a cell breaks the rule.
        may_be_missing: Whether ``MISSING`` cells are allowed; they become nulls.
        refuse: Function from the names of file and column and the cells that raises ``UserError`` where the
            column as a whole needs a declaration.
    """

    name: str
    requirement: str
    parse: Callable[[pa.Array], pa.Array]
    may_be_missing: bool = False
    refuse: Callable[[str, str, pa.Array], None] | None = None

    def check(self, cells: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
        """Returns the typed values, and a mask of the cells that break the rule."""
        values = self.parse(cells)
        broken = values.is_null()
        if self.may_be_missing:
            broken = pc.and_(broken, pc.invert(pc.is_in(cells, pa.array(MISSING))))
        return values, broken.to_numpy(zero_copy_only=False)


def _cast(cells: pa.Array, good: pa.Array, type_: pa.DataType) -> pa.Array:
    return pc.if_else(good, cells, pa.scalar(None, pa.string())).cast(type_)


def _id(cells: pa.Array) -> pa.Array:
    codes = cells.dictionary_encode()
    return pa.array([id_or_none(text) for text in codes.dictionary.to_pylist()], pa.string()).take(
        codes.indices
    )


def id_or_none(text: str) -> str | None:
    """Returns an id in its normal form; None if the text is no id."""
    text = unicodedata.normalize("NFC", text)
    is_shown = not any(unicodedata.category(character) in _NOT_SHOWN for character in text)
    is_id = 0 < len(text) <= _MAX_ID and is_shown and not _ROUNDED.fullmatch(text)
    return text if is_id else None


def _whole_number(cells: pa.Array) -> pa.Array:
    # Programs with one type for numbers write 1.0; but 1.000 may be a thousand.
    cells = pc.replace_substring_regex(cells, r"^([0-9]+)\.(0|00|0000+)$", r"\1")
    numbers = _cast(cells, pc.match_substring_regex(cells, r"^0*[1-9][0-9]{0,8}$"), pa.int64())
    return numbers.cast(pa.string())


def _number(cells: pa.Array) -> pa.Array:
    numbers = _cast(cells, pc.match_substring_regex(cells, _NUMBER), pa.float64())
    return pc.if_else(pc.is_finite(numbers), numbers, None)


def _number_above_zero(cells: pa.Array) -> pa.Array:
    numbers = _number(cells)
    return pc.if_else(pc.greater(numbers, 0), numbers, None)


def _share(cells: pa.Array) -> pa.Array:
    numbers = _number(cells)
    return pc.if_else(pc.and_(pc.greater_equal(numbers, 0), pc.less_equal(numbers, 1)), numbers, None)


def _flag(cells: pa.Array) -> pa.Array:
    words = pc.utf8_upper(cells)
    is_true, is_false = (pc.is_in(words, pa.array(these)) for these in (_TRUE, _FALSE))
    return pc.if_else(pc.or_(is_true, is_false), is_true, None)


def _type(cells: pa.Array) -> pa.Array:
    types = pc.if_else(pc.is_in(cells, pa.array(MISSING)), pa.scalar(None, pa.string()), cells)
    ids = _id(types.fill_null(""))
    return pc.if_else(pc.less_equal(pc.utf8_length(ids), _MAX_TYPE), ids, pa.scalar(None, pa.string()))


ID = CellRule(
    "id",
    f"must be text of 1 to {_MAX_ID} characters, without control characters, and not be a number that a "
    "program has rounded, like 4.01E+12",
    _id,
)
ID_OR_MISSING = CellRule("id", f"{ID.requirement}; or empty", _id, may_be_missing=True)
WHOLE_NUMBER = CellRule("id", "must be a whole number from 1 to 999999999", _whole_number)
NUMBER = CellRule("number", "must be a finite number like 1234.5, without thousands separators", _number)
NUMBER_OR_MISSING = CellRule(
    "number",
    "must be a finite number like 1234.5, without thousands separators, or NA",
    _number,
    may_be_missing=True,
)
NUMBER_ABOVE_ZERO = CellRule(
    "number-above-zero", "must be a number above 0, or NA", _number_above_zero, may_be_missing=True
)
SHARE = CellRule("share", "must be a share from 0 to 1, not a percentage, or NA", _share, may_be_missing=True)
FLAG = CellRule("flag", "must be TRUE or FALSE, yes or no, or 1 or 0", _flag)
TYPE = CellRule("type", f"must be text of 1 to {_MAX_TYPE} characters, or NA", _type, may_be_missing=True)


def duplicated(*key: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Returns a mask of all rows that share their key with another one: none of them is known to be right."""
    order = np.lexsort(key)
    same = np.all([column[order][1:] == column[order][:-1] for column in key], axis=0)
    mask = np.zeros(len(order), dtype=bool)
    mask[order[1:]] |= same
    mask[order[:-1]] |= same
    return mask
