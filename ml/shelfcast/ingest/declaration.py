"""Declaration of a source's columns, from the input or from shelfcast.json beside the files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from zoneinfo import available_timezones

from shelfcast.contracts.results import ErrorType
from shelfcast.contracts.specs import ColumnRoles, Declaration
from shelfcast.contracts.wire import ContractError, decode, encode
from shelfcast.ingest.column_search import closest, same_name
from shelfcast.ingest.regional_cells import date_pattern
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError
from shelfcast.levels import USUAL_LEVELS

DECLARATION_FILE = "shelfcast.json"

_LEVEL, _LEVEL_COLUMN = re.compile("[a-z][a-z0-9_]{0,39}"), re.compile(r"(stores|items)\..+")


@dataclass(frozen=True)
class Declared:
    """Declaration, and where it stands.

    Attributes:
        where: Name of the file or input key, for messages.
        error: Type of the errors about it.
        declaration: The declaration; its covariates are in ``covariates``.
        covariates: Entries as they were written; None if it has no list.
    """

    where: str
    error: ErrorType
    declaration: Declaration
    covariates: Sequence[Any] | None

    def columns(self, role: str) -> tuple[str, ...]:
        """Returns the user's columns of a role, none if it is not declared."""
        value = None if self.declaration.columns is None else getattr(self.declaration.columns, role)
        if value is None:
            return ()
        return (value,) if isinstance(value, str) else tuple(value)

    @property
    def has_columns(self) -> bool:
        """Whether any role is declared."""
        return any(self.columns(role) for role in ROLES)


ROLES = tuple(ColumnRoles.__dataclass_fields__)
#: Declaration of a source that has none.
NOTHING_DECLARED = Declared(DECLARATION_FILE, "BadData", Declaration(), None)


def declared_in_input(declaration: Declaration | None) -> Declared | None:
    """Returns the declaration of ``source.declaration``, or None if there is none.

    Raises:
        UserError: ``InvalidInput``: two values have the same column.
    """
    if declaration is None:
        return None
    entries = None if declaration.covariates is None else encode(declaration.covariates)
    return _checked(Declared("source.declaration", "InvalidInput", declaration, entries))


def declared_in_file(data: bytes | None, file: str = DECLARATION_FILE) -> Declared:
    """Returns the declaration of shelfcast.json; nothing is declared if there is no such file.

    Raises:
        UserError: ``BadData``: the file is not a declaration, or two values have the same column.
    """
    if data is None:
        return NOTHING_DECLARED
    try:
        value = json.loads(data)
        if not isinstance(value, dict):
            raise ContractError(f"{file}: expected an object, found {str(value)[:80]}")
        entries = value.pop("covariates", None)
        if entries is not None and not isinstance(entries, list):
            raise ContractError(f"{file}.covariates: expected a list of objects")
        declaration = decode(Declaration, value, file)
    except ContractError as error:
        raise UserError("BadData", f"{error}; docs/data.md describes the file") from error
    except (ValueError, RecursionError) as error:
        raise UserError("BadData", f"{file} is not JSON in UTF-8: {error}") from error
    return _checked(Declared(file, "BadData", declaration, entries))


def check_declared(declared: Declared, files: Sequence[SourceFile]) -> None:
    """Refuses a sheet, and a role whose declared columns, are in none of the files.

    Raises:
        UserError: Error of the declaration's type.
    """
    issues = []
    for role in ROLES:
        columns = declared.columns(role)
        if columns and not any(same_name(file.labels.get(role, ""), ",".join(columns)) for file in files):
            unread = [name for file in files for name in file.unread]
            close = [name for column in columns for name in closest(column, unread)]
            known = f"; {', '.join(close)} is not read" if close else ""
            issues.append(f"{role} is {', '.join(columns)}, which no file has{known}")
    _check_sheet(declared, files)
    if issues:
        names = {
            file.name: [label for name, label in file.labels.items() if name not in file.constants]
            + list(file.unread)
            for file in files
        }
        headers = "; ".join(f"{name} has {', '.join(columns)}" for name, columns in names.items())
        raise UserError(declared.error, f"columns of {declared.where}: {'; '.join(issues)}; {headers}")


def _check_sheet(declared: Declared, files: Sequence[SourceFile]) -> None:
    wanted = declared.declaration.sheet
    sheets = {file.name: file.sheet for file in files if file.sheet is not None}
    if wanted is None or wanted.casefold() in (sheet.casefold() for sheet in sheets.values()):
        return
    has = ", ".join(f"{name} has {sheet}" for name, sheet in sheets.items()) or "no file is a workbook"
    raise UserError(declared.error, f"sheet of {declared.where} is {wanted}, which no file has; {has}")


def _checked(declared: Declared) -> Declared:
    owners: dict[str, str] = {}
    issues = []
    uses: Mapping[str, Sequence[str]] = {
        **{role: declared.columns(role) for role in ROLES},
        "ignore": declared.declaration.ignore or [],
    }
    for use, columns in uses.items():
        for column in columns:
            if column == "":
                issues.append(f"{use} has an empty name")
            elif column in owners:
                issues.append(f"{column} is both {owners[column]} and {use}; it can be one of them")
            owners[column] = use
    issues += _issues_of_values(declared.declaration)
    if issues:
        raise UserError(declared.error, f"{declared.where}: {'; '.join(issues)}")
    return declared


def _issues_of_values(declaration: Declaration) -> Iterator[str]:
    columns = declaration.columns
    if columns is not None and None not in (columns.available, columns.stock):
        yield "available and stock both tell weeks without stock; declare one of them"
    zone = declaration.time_zone
    if zone is not None and zone not in available_timezones():
        close = get_close_matches(zone, available_timezones(), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        yield f"timeZone {zone} is not a name of the IANA time zone database, like Europe/Berlin{hint}"
    if declaration.week_ends is not None and declaration.sum is None:
        yield 'weekEnds is for days that are summed to weeks; add "sum": "days"'
    for level, column in (declaration.levels or {}).items():
        if level in USUAL_LEVELS:
            yield f"levels.{level} is a level of every data set; give it another name"
        elif not _LEVEL.fullmatch(level):
            yield f"levels.{level} must be at most 40 lower-case letters, digits and underscores"
        if not _LEVEL_COLUMN.fullmatch(column):
            yield f"levels.{level} is {column}; name a column of stores or items, like stores.region"
    if declaration.date_format is not None:
        try:
            date_pattern(declaration.date_format)
        except ValueError as error:
            yield f"dateFormat {error}"
