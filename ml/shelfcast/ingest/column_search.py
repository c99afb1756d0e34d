"""Search for the columns of a file, by the user's names or by those of a layout."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.job import UserError

#: Number or date, which is no name of a column.
_VALUE = re.compile(r"[+-]?[0-9][0-9.,:/TZ-]*$")
#: Date as the name of a column, and the number of them from which a file has a column for each week.
_DAY = re.compile(r"([0-9]{4}[-/.]?[0-9]{2}[-/.]?[0-9]{2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4})( .*)?")
_LEAST_DAYS = 5
#: Differences that do not matter between the name of a column and its declaration.
_SPACES = re.compile(r"[\s_]+")


@dataclass(frozen=True)
class Value:
    """Value that each row of a file has.

    Attributes:
        name: Name in the layout.
        declared: The user's columns, whose cells are joined where there are several; empty if not declared.
        is_required: Whether the file must have it.
        constant: Value of all rows of a file without such a column; None if there is no such value.
    """

    name: str
    declared: tuple[str, ...] = ()
    is_required: bool = True
    constant: str | None = None


@dataclass(frozen=True)
class FoundColumns:
    """Columns of a file.

    Attributes:
        columns: Columns of the file by the value's name in the layout; none for a constant.
        constants: Constants by the value's name in the layout.
    """

    columns: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, str]

    @property
    def used(self) -> tuple[str, ...]:
        """Columns to read, each once."""
        return tuple(dict.fromkeys(name for names in self.columns.values() for name in names))

    @property
    def labels(self) -> dict[str, str]:
        """The user's name of each value, for messages and for ``cells``; a constant's is no column's."""
        used = self.used
        return {
            name: ",".join(columns) or (f"the only {name}" if name in used else name)
            for name, columns in self.columns.items()
        }

    def of_labels(self, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Returns the arrays of columns by the label of the values that have one of them alone."""
        labels = self.labels
        return {
            labels[name]: columns[used[0]]
            for name, used in self.columns.items()
            if len(used) == 1 and used[0] in columns
        }

    def without(self, columns: Collection[str]) -> FoundColumns:
        """Returns the values that have none of the columns."""
        kept = {name: used for name, used in self.columns.items() if not set(used) & set(columns)}
        return replace(self, columns=kept)

    def cells(self, read: Mapping[str, pa.Array], row_count: int) -> dict[str, pa.Array]:
        """Returns the cells of each value by its label.

        Args:
            read: Cells of the columns in ``used``.
            row_count: Number of rows.
        """
        return {
            label: joined([read[column] for column in self.columns[name]])
            if self.columns[name]
            else pa.repeat(self.constants[name], row_count)
            for name, label in self.labels.items()
        }


@dataclass(frozen=True)
class ColumnSearch:
    """Values that a file must and may have.

    Attributes:
        values: The values.
        ignored: Columns that the user does not want to be read.
        has_time_zone: Whether the zone is declared in which a moment has a day.
        may_be_declared: Whether a declaration can give the values other columns.
        may_be_empty: Whether a file without rows says something, too.
        leaves_out_unreadable: Whether a column that cannot be text is left out, not refused.
        sheet: Declared sheet of a workbook.
    """

    values: tuple[Value, ...]
    ignored: tuple[str, ...] = ()
    has_time_zone: bool = False
    may_be_declared: bool = False
    may_be_empty: bool = False
    leaves_out_unreadable: bool = False
    sheet: str | None = None

    def count(self, names: Sequence[str]) -> int:
        """Returns how many of ``wanted`` are among the names."""
        return sum(_match(names, column) is not None for column in self.wanted)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Columns that the file must have, or is likely to have."""
        return tuple(
            dict.fromkeys(
                column
                for v in self.values
                if v.is_required or v.declared
                for column in v.declared or [v.name]
            )
        )

    def find(self, where: str, names: Sequence[str]) -> FoundColumns:
        """Returns the columns of a file.

        A declared or a required column may differ in case, white space and underscores; an optional one has
        its own name. A value that is declared may have its name of the layout instead: a declaration is for
        all files of a source.

        Args:
            where: Name of the file, for messages.
            names: Names of its columns.

        Raises:
            UserError: ``BadData``: a required value has no column, or a column would be read twice.
        """
        found: dict[str, tuple[str, ...]] = {}
        constants: dict[str, str] = {}
        missing: list[Value] = []
        # Declared columns come first: an optional one of the layout's name may be one of them.
        for value in sorted(self.values, key=lambda value: not value.declared):
            columns = self._columns(value, names, {name for used in found.values() for name in used})
            if columns is not None:
                found[value.name] = columns
            elif value.constant is not None:
                found[value.name], constants[value.name] = (), value.constant
            elif value.is_required:
                missing.append(value)
        if missing:
            raise UserError("BadData", f"{where}: {self._refusal(missing, names)}")
        _check_once(where, found, names)
        in_order = {value.name: found[value.name] for value in self.values if value.name in found}
        return FoundColumns(in_order, constants)

    def unread(self, names: Sequence[str], found: FoundColumns) -> list[str]:
        """Returns the columns with a name that are neither found nor ignored."""
        ignored = {match for name in self.ignored if (match := _match(names, name)) is not None}
        return [name for name in names if name not in ("", *found.used, *ignored)]

    def _columns(self, value: Value, names: Sequence[str], used: set[str]) -> tuple[str, ...] | None:
        declared = [_match(names, column) for column in value.declared]
        if declared and None not in declared:
            return tuple(column for column in declared if column is not None)
        column = _match(names, value.name) if value.is_required or value.declared else value.name
        if column not in names or column in used or column is None:
            return None
        return (column,)

    def _refusal(self, missing: Sequence[Value], names: Sequence[str]) -> str:
        wanted = [column for value in missing for column in value.declared or [value.name]]
        absent = [column for column in wanted if _match(names, column) is None]
        required = ",".join(column for v in self.values if v.is_required for column in v.declared or [v.name])
        if self.count(names) == 0 and any(_VALUE.match(name) for name in names):
            return (
                f"the first row is {','.join(names)}, which looks like data; put a header with {required} "
                "above it"
            )
        days = dates_among(names)
        if days:
            return (
                f"no column {', '.join(absent)}; the header has {len(days)} dates, like {days[0]}: give one "
                f"row for each week of a series instead, with the columns {required}"
            )
        close = [f"{column} may be {other}" for column in absent for other in closest(column, names)]
        hint = f"; {', '.join(close)}" if close else ""
        several = [column for column in absent if sum(_plain(n) == _plain(column) for n in names) > 1]
        if several:
            hint += f"; write {', '.join(several)} exactly as in the header"
        if self.may_be_declared:
            example = next((value.name for value in missing if not value.declared), missing[0].name)
            # Other values than roles, like the members of a level, have no option of their own.
            like = "" if ":" in example else f", like --column {example}=..."
            hint += f"; or declare your own names{like} (docs/data.md)"
        return (
            f"no column {', '.join(absent)}; the header is {','.join(names)} and must have {required}{hint}"
        )


def dates_among(names: Sequence[str]) -> list[str]:
    """Returns the names that are dates, if they are so many that the file has a column for each week."""
    days = [name for name in names if _DAY.fullmatch(name.strip())]
    return days if len(days) >= _LEAST_DAYS else []


def search_for(*required: str, optional: Sequence[str] = ()) -> ColumnSearch:
    """Returns the search for columns whose names are those of a layout."""
    return ColumnSearch(
        (*map(Value, required), *(Value(name, is_required=False) for name in optional)),
    )


def closest(column: str, names: Sequence[str]) -> list[str]:
    """Returns the name that is most like the column's, if one is."""
    by_plain = {_plain(name): name for name in names if name}
    return [by_plain[match] for match in get_close_matches(_plain(column), list(by_plain), n=1)]


def same_name(name: str, other: str) -> bool:
    """Whether two names of columns differ at most in case, white space and underscores."""
    return _plain(name) == _plain(other)


def joined(parts: Sequence[pa.Array]) -> pa.Array:
    """Returns one id for the cells of each row: ``US/12``, empty where a part is.

    A slash or a backslash in a part gets a backslash before it, so that different parts never make the same
    id.
    """
    if len(parts) == 1:
        return parts[0]
    escaped = [pc.replace_substring_regex(_whole(part), r"([/\\])", r"\\\1") for part in parts]
    text = pc.binary_join_element_wise(*escaped, "/")
    for part in parts:
        text = pc.if_else(pc.equal(part, ""), "", text)
    return text


def _whole(cells: pa.Array) -> pa.Array:
    """Returns cells like ``1.0`` as ``1`` if all numbers of the column are whole ones."""
    numbers = cells.filter(pc.match_substring_regex(cells, r"^[0-9]+\.[0-9]*$"))
    if len(numbers) == 0 or not pc.all(pc.match_substring_regex(numbers, r"\.(0|00|0000+)$")).as_py():
        return cells
    return pc.replace_substring_regex(cells, r"^([0-9]+)\.0+$", r"\1")


def _check_once(where: str, found: Mapping[str, tuple[str, ...]], names: Sequence[str]) -> None:
    used = [column for columns in found.values() for column in columns]
    twice = sorted({column for column in used if names.count(column) > 1})
    if twice:
        raise UserError("BadData", f"{where}: column {', '.join(twice)} occurs twice; keep one of them")
    owners: dict[str, str] = {}
    for value, columns in found.items():
        for column in columns:
            if column in owners:
                raise UserError(
                    "BadData",
                    f"{where}: column {column} is declared as {owners[column]} and as {value}; "
                    "it can be one of them",
                )
            owners[column] = value


def _match(names: Sequence[str], column: str) -> str | None:
    """Returns the name that is equal, or the only one that differs in case, white space and underscores."""
    if column in names:
        return column
    like = {name for name in names if name and _plain(name) == _plain(column)}
    return like.pop() if len(like) == 1 else None


def _plain(name: str) -> str:
    return _SPACES.sub("", name).casefold()
