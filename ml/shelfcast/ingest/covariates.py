"""Covariates that a load declares, in columns.json beside the files or in ``source.columns``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import pyarrow as pa

from shelfcast.contracts.results import ErrorType
from shelfcast.contracts.specs import MAX_DESCRIPTION, PerWeek, WeeklyCovariate
from shelfcast.contracts.wire import bounds
from shelfcast.features import intermittent, own_holidays
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.open_weeks import AVAILABLE, OPEN
from shelfcast.ingest.declaration import Declared
from shelfcast.job import UserError
from shelfcast.snapshot import COVARIATES, EXTERNALS, Covariate, CovariateOf, covariates_of

COLUMNS_FILE = "columns.json"
_INPUT = "source.columns"

_ENTRY_KEYS = ("name", "of", "knownAfterWeeks", "description", "column", "perWeek")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
#: Suffixes of the names of a covariate's features.
_FEATURE_SUFFIX = re.compile(r"_h[0-9]+$|_ahead$|_is_missing$")
#: Names of columns of the files, of training data and of Feast's tables.
_RESERVED = frozenset(
    {
        *("store", "dept", "week", "sales", "weekly_sales", "holiday", "is_holiday", "type", "size"),
        *("origin", "horizon", "target", "event_timestamp", "event_ts", "created", "created_ts"),
    }
)
#: Covariates that the ingest job derives, so that no file has a column of the name.
DERIVED_NAMES = frozenset((*own_holidays.COVARIATE_NAMES, intermittent.DECLARED.name, AVAILABLE.name))
_WEEKS = bounds(WeeklyCovariate, "known_after_weeks")


@dataclass(frozen=True)
class Covariates:
    """Covariates of a load.

    Attributes:
        declared_in: Name of the file or input key with the declarations, for messages.
        declared: Covariates that the load declares, in their order.
        by_name: Covariates that the load declares or the data set has from earlier loads.
        columns: The user's names of columns, by name of the covariate, where these differ.
        last: Covariates whose last value in a week of summed days counts, not the mean.
    """

    declared_in: str
    declared: tuple[Covariate, ...]
    by_name: Mapping[str, Covariate]
    columns: Mapping[str, str]
    last: frozenset[str]

    @property
    def table(self) -> pa.Table:
        """Covariates that the load declares, as rows of ``COVARIATES``."""
        return pa.Table.from_pylist([asdict(column) for column in self.declared], COVARIATES.schema)


def covariates_from_file(data: bytes | None, known: pa.Table) -> Covariates:
    """Returns the covariates that columns.json declares.

    Args:
        data: Bytes of the file; None if there is none.
        known: Rows of ``COVARIATES`` of the data set's newest snapshot.

    Raises:
        UserError: ``BadData`` that names each invalid declaration.
    """
    if data is None:
        return _covariates(COLUMNS_FILE, "BadData", [], known)
    try:
        entries = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError("BadData", f"{COLUMNS_FILE} is not JSON in UTF-8: {error}") from error
    if not isinstance(entries, list):
        raise UserError("BadData", f"{COLUMNS_FILE} must be a list of objects with {', '.join(_ENTRY_KEYS)}")
    return _covariates(COLUMNS_FILE, "BadData", entries, known)


def covariates_from_input(entries: Sequence[Any], known: pa.Table) -> Covariates:
    """Returns the covariates that ``source.columns`` declares.

    Raises:
        UserError: ``InvalidInput`` that names each invalid declaration.
    """
    return _covariates(_INPUT, "InvalidInput", entries, known)


def covariates_of_declaration(declared: Declared, known: pa.Table) -> Covariates:
    """Returns the covariates of a declaration.

    Raises:
        UserError: Error of the declaration's type that names each invalid entry.
    """
    where = f"covariates of {declared.where}"
    return _covariates(where, declared.error, declared.covariates or [], known)


def _covariates(declared_in: str, error: ErrorType, entries: Sequence[Any], known: pa.Table) -> Covariates:
    earlier = {c.name: c for c in covariates_of(known) if c.name not in DERIVED_NAMES}
    issues = [
        f"{declared_in}, entry {number}: {issue}"
        for number, entry in enumerate(entries, 1)
        for issue in _issues(entry, entries[: number - 1], earlier)
    ]
    if issues:
        raise UserError(error, "; ".join(issues))
    declared = tuple(
        Covariate(entry["name"], entry["of"], entry.get("knownAfterWeeks"), entry["description"])
        for entry in entries
    )
    by_name = {**earlier, **{column.name: column for column in declared}}
    columns = {entry["name"]: entry["column"] for entry in entries if "column" in entry}
    last = frozenset(entry["name"] for entry in entries if entry.get("perWeek") == "last")
    return Covariates(declared_in, declared, by_name, columns, last)


def _issues(entry: Any, before: Sequence[Any], earlier: Mapping[str, Covariate]) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"{_shown(entry)} must be an object with {', '.join(_ENTRY_KEYS)}"
        return
    unknown = [key for key in entry if key not in _ENTRY_KEYS]
    if unknown:
        yield f"{', '.join(map(_shown, unknown))} must be one of {', '.join(_ENTRY_KEYS)}"
    name, of = entry.get("name"), entry.get("of")
    yield from _issues_of_name(name, of)
    if any(isinstance(other, dict) and other.get("name") == name for other in before):
        yield f"{_shown(name)} is declared twice; keep one of them"
    if of not in get_args(CovariateOf):
        yield f"of must be one of {', '.join(get_args(CovariateOf))} and is {_shown(of)}"
    elif isinstance(name, str) and name in earlier and earlier[name].of != of:
        yield (
            f"{name} is of {earlier[name].of} in this data set and cannot become one of {of}; "
            "give the new column another name"
        )
    yield from _issues_of_weeks(entry, of)
    weeks = entry.get("knownAfterWeeks")
    if name == OPEN and (of == "store" or (type(weeks) is int and weeks >= 0)):
        yield f"{OPEN} says which weeks are open: it needs weeks, and knownAfterWeeks below 0"
    if "perWeek" in entry and entry["perWeek"] not in get_args(PerWeek):
        yield f"perWeek must be {' or '.join(get_args(PerWeek))} and is {_shown(entry['perWeek'])}"
    elif "perWeek" in entry and of == "store":
        yield "perWeek is for weekly columns; a column of store has no weeks"
    column = entry.get("column")
    if "column" in entry and not (isinstance(column, str) and column):
        yield f"column must be the name of a column in the file and is {_shown(column)}"
    text = entry.get("description")
    if not (isinstance(text, str) and 0 < len(text) <= MAX_DESCRIPTION and text.isprintable()):
        yield f"description must be one line of 1 to {MAX_DESCRIPTION} characters"


def _issues_of_name(name: Any, of: Any) -> Iterator[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield (
            f"name must be lower-case letters, digits and underscores, a letter first, at most 40, "
            f"and is {_shown(name)}"
        )
    elif _FEATURE_SUFFIX.search(name):
        yield f"name {name} must not end like the features of a column (_h1, _ahead, _is_missing)"
    elif name in EXTERNALS:
        if of != "store_week":
            yield f"{name} has a value for each store and week; its of must be store_week"
    elif name in _RESERVED | own_holidays.COVARIATE_NAMES | own_holidays.FEATURES | _feature_names():
        yield f"name {name} is reserved; choose another"


def _issues_of_weeks(entry: Mapping[str, Any], of: Any) -> Iterator[str]:
    weeks = entry.get("knownAfterWeeks")
    if of == "store":
        if weeks is not None:
            yield "knownAfterWeeks is for weekly columns; a column of store has no weeks"
    # Python's True is a whole number.
    elif type(weeks) is not int or not _WEEKS.minimum <= weeks <= _WEEKS.maximum:
        yield (
            f"knownAfterWeeks must be a whole number from {_WEEKS.minimum} to {_WEEKS.maximum} (a week's "
            f"value is known so many weeks after it, or before it where below 0) and is {_shown(weeks)}"
        )


def _feature_names() -> set[str]:
    return {feature.name for feature in FeatureSet(horizon_weeks=1).model_features}


def _shown(value: Any) -> str:
    return "missing" if value is None else json.dumps(value, ensure_ascii=False)[:80]
