"""Long layout: one row for each store, department and week (docs/data.md).

Files may have further columns: the covariates of ``shelfcast.ingest.covariates``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast import calendar
from shelfcast.contracts.specs import Rename
from shelfcast.features.open_weeks import AVAILABLE, DESCRIPTION, KNOWN_AFTER_WEEKS, OPEN
from shelfcast.ingest import cell_rules, declared_likes, events, open_dates
from shelfcast.ingest.cell_rules import CellRule
from shelfcast.ingest.column_search import ColumnSearch, Value, closest
from shelfcast.ingest.covariates import Covariates
from shelfcast.ingest.dates import ISO_DATE, date_rule
from shelfcast.ingest.days import PartialWeeks
from shelfcast.ingest.declaration import ROLES, Declared
from shelfcast.ingest.holiday_rows import LoadHolidays
from shelfcast.ingest.level_members import (
    check_totals,
    columns_of_levels,
    layout_of_levels,
    leave_out_totals,
    level_rows,
)
from shelfcast.ingest.merged_ids import merge_rows
from shelfcast.ingest.numbering import Numbering
from shelfcast.ingest.regional_cells import Regional
from shelfcast.ingest.sheet import Layout, Sheet, store_week, whole_numbers
from shelfcast.ingest.sheet_checks import (
    check_far_dates,
    check_once,
    check_store,
    check_weekday,
    refuse_days,
)
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_ids import number_ids
from shelfcast.ingest.source_rows import SourceRows, source_rows
from shelfcast.ingest.summed_days import FileName, sum_days
from shelfcast.job import UserError
from shelfcast.missing_weeks import declared_row
from shelfcast.snapshot import (
    ALL_WEEKS,
    COVARIATES,
    DATA_SET_AS_A_WHOLE,
    EXTERNALS,
    EXTRAS,
    LEVELS,
    MERGES,
    SALES,
    STORE_AS_A_WHOLE,
    STORE_WEEKS,
    STORES,
    Covariate,
    CovariateOf,
    empty_tables,
)

#: Roles of which a source may have one, without a column.
SINGLE_ROLES = ("store", "dept")
#: Id of the store or the department of a source without such a column.
ONLY_ID = "all"

_HOLIDAY = "holiday"
_STORE: Layout = {"store": ("store", cell_rules.ID)}
_STORE_WEEK: Layout = {**_STORE, "week": ("week", ISO_DATE)}
_SERIES_WEEK: Layout = {**_STORE_WEEK, "dept": ("dept", cell_rules.ID)}
_WANTED: dict[FileName, Layout] = {
    "sales": {**_SERIES_WEEK, "sales": ("weekly_sales", cell_rules.NUMBER)},
    "series_weeks": _SERIES_WEEK,
    "store_weeks": _STORE_WEEK,
    "stores": {**_STORE, "type": ("type", cell_rules.TYPE), "size": ("size", cell_rules.NUMBER_ABOVE_ZERO)},
    "items": {"dept": ("dept", cell_rules.ID)},
    "events": events.REQUIRED,
}
_KEYS: dict[FileName, tuple[str, ...]] = {
    "sales": ("store", "dept", "week"),
    "series_weeks": ("store", "dept", "week"),
    "store_weeks": ("store", "week"),
}
_FLAG: tuple[str, CellRule] = ("is_holiday", cell_rules.FLAG)
_OPTIONAL: dict[FileName, Layout] = {
    "sales": {_HOLIDAY: _FLAG},
    "series_weeks": {OPEN: (OPEN, cell_rules.NUMBER_OR_MISSING)},
    "store_weeks": {
        _HOLIDAY: _FLAG,
        OPEN: (OPEN, cell_rules.NUMBER_OR_MISSING),
        **{name: (name, cell_rules.NUMBER_OR_MISSING) for name in EXTERNALS},
    },
    "stores": {},
    "items": {},
    "events": events.OPTIONAL,
}
#: Roles that tell weeks without stock. They count only where they are declared: a column of one of these
#: names may mean something else.
_IN_STOCK: Layout = {
    "available": ("available", cell_rules.SHARE),
    "stock": ("stock", cell_rules.NUMBER_OR_MISSING),
}


def column_search(
    file: FileName, declared: Declared, covariates: Covariates, single: Collection[str]
) -> ColumnSearch:
    """Returns the search for the columns of a file.

    Args:
        file: Name of the file.
        declared: Declaration of the source.
        covariates: Covariates of the load.
        single: Roles of which there is one, without a column: ``store``, ``dept``.
    """
    own = {
        **{role: declared.columns(role) for role in ROLES},
        **{name: (column,) for name, column in covariates.columns.items()},
    }
    if file == "events":
        own = {"store": own["store"]}
    values = [
        *(
            Value(name, own.get(name, ()), constant=ONLY_ID if name in single else None)
            for name in _WANTED[file]
        ),
        *(Value(name, (column,)) for name, column in columns_of_levels(file, declared).items()),
        *(
            Value(name, own.get(name, ()), is_required=False)
            for name in _optional(file, declared, covariates)
        ),
    ]
    return ColumnSearch(
        tuple(values),
        tuple(declared.declaration.ignore or ()),
        has_time_zone=declared.declaration.time_zone is not None,
        may_be_declared=True,
        may_be_empty=file == "events",
        sheet=declared.declaration.sheet,
    )


def read_long(
    files: Mapping[FileName, SourceFile],
    known: Mapping[str, pa.Table],
    covariates: Covariates,
    declared: Declared,
) -> SourceRows:
    """Checks the files; ``sales`` must be among them.

    Args:
        files: Files read with ``column_search``.
        known: Rows of the data set's newest snapshot by table name of ``shelfcast.snapshot``.
        covariates: Covariates of the load.
        declared: Declaration of the source.

    Raises:
        UserError: ``BadData``: an id cannot be renamed or merged, only one of sales and store_weeks has a
            holiday flag, a covariate is in no file or in two, or the data need another declaration.
    """
    _check_flags(files)
    if "events" in files:
        events.check_day_column(files["events"])
    _check_covariates(files, known, covariates)
    sheets = {name: _sheet(name, file, covariates, declared) for name, file in files.items()}
    totals = leave_out_totals(sheets, declared)
    empty = _empty_sales(sheets["sales"], has_days=declared.declaration.sum is not None)
    numbering = Numbering(known)
    check_totals(declared, numbering, known)
    similar = _number_ids(sheets, numbering, declared.declaration.renamed or ())
    _check_rows(sheets, files, known, declared)
    likes = declared_likes.like_rows(sheets, numbering)
    values: dict[FileName, pa.Table] = {
        name: sheet.values for name, sheet in sheets.items() if name != "events"
    }
    covariates = _with_availability(values, files, covariates, declared)
    partial = PartialWeeks()
    if declared.declaration.sum is not None:
        names = {number: id_ for id_, number in numbering.of("store").items()}
        values, partial = sum_days(values, _KEYS, known, covariates, declared, names)
    tables = {
        **empty_tables(),
        SALES.name: _with_flags(values["sales"].filter(values["sales"]["weekly_sales"].is_valid()))
        .select(SALES.schema.names)
        .cast(SALES.schema),
        STORE_WEEKS.name: _store_weeks(values["sales"], values.get("store_weeks"), known[STORE_WEEKS.name]),
        COVARIATES.name: covariates.table,
        LEVELS.name: level_rows(sheets, declared, known),
        MERGES.name: merge_rows(declared, numbering, known),
        EXTRAS.name: pa.concat_tables(
            [
                EXTRAS.schema.empty_table(),
                *_extras(values, covariates),
                *_missing_weeks(declared.declaration.missing_weeks),
                likes,
            ]
        ),
    }
    if "stores" in values:
        tables[STORES.name] = values["stores"].select(STORES.schema.names).cast(STORES.schema)
        days = open_dates.date_rows(values["stores"])
        tables[EXTRAS.name] = pa.concat_tables([tables[EXTRAS.name], days])
    holidays = LoadHolidays("is_holiday" in values["sales"].column_names)
    if "events" in sheets:
        days, spelled = events.event_days(sheets["events"], numbering.of("store"))
        holidays, similar = replace(holidays, events=days), [*similar, *spelled]
    rows = source_rows(tables, list(sheets.values()), numbering, similar, holidays)
    declaration = declared.declaration
    return replace(
        rows,
        time_zone=declaration.time_zone,
        unit=declaration.unit,
        partial_weeks=partial,
        totals=tuple(totals),
        empty_sales=empty,
    )


def _sheet(name: FileName, file: SourceFile, covariates: Covariates, declared: Declared) -> Sheet:
    declaration = declared.declaration
    day = date_rule(declaration.time_zone, has_times=declaration.sum is not None, may_be_declared=True)
    layout = {
        value: (target, day if rule is ISO_DATE else rule)
        for value, (target, rule) in {**_WANTED[name], **_optional(name, declared, covariates)}.items()
    }
    tells_stock = any(declared.columns(role) for role in _IN_STOCK)
    if name == "sales" and not (declaration.sum and tells_stock):
        # A day without sales and without stock would be lost, and its week whole.
        layout["sales"] = ("weekly_sales", cell_rules.NUMBER_OR_MISSING)
    layout |= layout_of_levels(name, declared)
    return Sheet(file, layout, Regional(declaration.decimal, declaration.date_format))


def _empty_sales(sales: Sheet, *, has_days: bool) -> tuple[str, ...]:
    """Returns the rows without a value of sales in words, and leaves out those that tell nothing else."""
    is_empty = sales.values["weekly_sales"].is_null()
    keys = [name for name in ("store", "dept", "week") if name not in sales.constants]
    rows = sales.values.select(keys).filter(is_empty)
    usual = {*_KEYS["sales"], "weekly_sales", "is_holiday"}
    others = set() if has_days else {*sales.values.column_names} - usual
    for name in others:
        is_empty = pc.and_(is_empty, sales.values[name].is_null())
    sales.leave_out(is_empty)
    return tuple(" ".join(f"{key} {row[key]}" for key in keys) for row in rows.to_pylist())


def _number_ids(
    sheets: Mapping[FileName, Sheet], numbering: Numbering, renamed: Sequence[Rename]
) -> list[str]:
    """Replaces the ids by numbers; a file may spell an id in another way than stores, items or sales."""
    order: tuple[FileName, ...] = ("stores", "items", "sales", "store_weeks", "series_weeks")
    stores = [sheets[name] for name in order if name in sheets and "store" in _WANTED[name]]
    depts = [sheets[name] for name in order if name in sheets and "dept" in _WANTED[name]]
    return [
        *number_ids("store", stores, numbering, renamed, list_=sheets.get("stores")),
        *number_ids("dept", depts, numbering, renamed, list_=sheets.get("items")),
    ]


def _optional(file: FileName, declared: Declared, covariates: Covariates) -> Layout:
    in_stock = {
        role: value
        for role, value in _IN_STOCK.items()
        if declared.columns(role) and file in _files_of(AVAILABLE)
    }
    dates = {role: value for role, value in open_dates.ROLES.items() if declared.columns(role)}
    likes = declared_likes.LAYOUT if declared.columns(declared_likes.ROLE) else {}
    layout = {
        **_OPTIONAL[file],
        **in_stock,
        **(dates if file == "stores" else {}),
        **(likes if file in declared_likes.FILES else {}),
    }
    usual = {name: value for name, value in layout.items() if name not in covariates.by_name}
    names = [c.name for c in covariates.by_name.values() if file in _files_of(c)]
    return {**usual, **{name: (name, cell_rules.NUMBER_OR_MISSING) for name in names}}


def _files_of(covariate: Covariate) -> tuple[FileName, ...]:
    """Returns the files that may have the covariate.

    Sales have no future weeks, so they cannot hold covariates known in advance.
    """
    match covariate.of:
        case "store":
            return ("stores",)
        case "store_week":
            return ("store_weeks",)
        case "series_week":
            assert covariate.known_after_weeks is not None
            return ("series_weeks",) if covariate.known_after_weeks < 0 else ("series_weeks", "sales")


def with_open_weeks(covariates: Covariates, files: Mapping[FileName, SourceFile]) -> Covariates:
    """Returns the covariates, with ``open`` where a file has its column and none declares it.

    Args:
        covariates: Covariates of the load.
        files: Files of the source by name.
    """
    of_files: dict[FileName, CovariateOf] = {"series_weeks": "series_week", "store_weeks": "store_week"}
    found = [of for name, of in of_files.items() if name in files and OPEN in files[name].labels]
    if not found or OPEN in covariates.by_name:
        return covariates
    new = Covariate(OPEN, found[0], KNOWN_AFTER_WEEKS, DESCRIPTION)
    return replace(
        covariates, declared=(*covariates.declared, new), by_name={**covariates.by_name, OPEN: new}
    )


def _with_availability(
    values: dict[FileName, pa.Table],
    files: Mapping[FileName, SourceFile],
    covariates: Covariates,
    declared: Declared,
) -> Covariates:
    """Adds the share in stock to the values of the file that tells it; returns the covariates with it.

    A day or a week that ended without stock has the share 0, any other one 1.

    Raises:
        UserError: ``BadData``: two files tell it.
    """
    found = [(name, role) for name, rows in values.items() for role in _IN_STOCK if role in rows.column_names]
    found = [(name, role) for name, role in found if declared.columns(role)]
    if not found:
        return covariates
    if len(found) > 1:
        names = " and ".join(files[name].name for name, _ in found)
        raise UserError("BadData", f"{names} both have a column {found[0][1]}; keep one of them")
    (name, role) = found[0]
    cells = values[name][role]
    share = pc.greater(cells, 0).cast(pa.float64()) if role == "stock" else cells
    values[name] = values[name].append_column(AVAILABLE.name, share)
    return replace(
        covariates,
        declared=(*covariates.declared, AVAILABLE),
        by_name={**covariates.by_name, AVAILABLE.name: AVAILABLE},
    )


def _check_covariates(
    files: Mapping[FileName, SourceFile], known: Mapping[str, pa.Table], covariates: Covariates
) -> None:
    """Refuses a covariate that is in two files, or in none and new to the data set."""
    stored = {*known[COVARIATES.name]["name"].to_pylist(), *EXTERNALS}
    issues = []
    for number, covariate in enumerate(covariates.declared, 1):
        name = covariate.name
        if name not in stored and not any(name in file.labels for file in files.values()):
            possible_files = " or ".join(_files_of(covariate))
            column = covariates.columns.get(name, name)
            issues.append(
                f"{covariates.declared_in}, entry {number}: {possible_files} has no column {column}; add "
                f"it there, or do not declare it{_closest(column, files.values())}"
            )
    for name in covariates.by_name:
        twice = [file for file in files.values() if name in file.labels]
        if len(twice) > 1:
            names = " and ".join(file.name for file in twice)
            issues.append(f"{names} both have a column {twice[0].labels[name]}; keep one of them")
    if issues:
        raise UserError("BadData", "; ".join(issues))


def _closest(column: str, files: Iterable[SourceFile]) -> str:
    names = closest(column, [name for file in files for name in file.unread])
    return f" ({', '.join(names)} is not read)" if names else ""


def _check_rows(
    sheets: Mapping[FileName, Sheet],
    files: Mapping[FileName, SourceFile],
    known: Mapping[str, pa.Table],
    declared: Declared,
) -> None:
    has_days = declared.declaration.sum is not None
    known_weeks = whole_numbers(known[SALES.name], "week")
    stores = sheets.get("stores")
    if stores is not None:
        check_once(stores, ("store",))
        open_dates.check_order(stores)
    if "items" in sheets:
        check_once(sheets["items"], ("dept",))
    weekly = [sheets[name] for name in _KEYS if name in sheets]
    check_far_dates(known_weeks, *weekly)
    if "events" in sheets:
        # Sales decide which dates are near: a list of events may be longer than they are.
        check_far_dates(np.concatenate([known_weeks, *(s.column("week") for s in weekly)]), sheets["events"])
    if not has_days:
        refuse_days(sheets["sales"], files["sales"].name)
        check_weekday(known_weeks, *weekly)
    if stores is not None and len(known[STORES.name]) == 0 and _describe(stores, sheets["sales"]):
        for sheet in weekly:
            check_store(sheet, stores, files["stores"].name)
    for name, key in _KEYS.items():
        # Sales of a day may have several rows: all of them are summed.
        if name in sheets and not (has_days and name == "sales"):
            check_once(sheets[name], key)
    if _HOLIDAY in files["sales"].labels:
        _check_one_flag(sheets["sales"], sheets.get("store_weeks"))


def _describe(stores: Sheet, sales: Sheet) -> bool:
    """Whether the file of stores has any store with sales."""
    return bool(np.isin(stores.column("store"), sales.column("store")).any())


def _extras(values: Mapping[FileName, pa.Table], covariates: Covariates) -> Iterator[pa.Table]:
    """Yields the values of covariates that are not externals, as rows of ``EXTRAS``."""
    for name, covariate in covariates.by_name.items():
        for rows in values.values():
            if name in rows.column_names and name not in EXTERNALS:
                yield _extra(rows, covariate)


def _missing_weeks(meaning: str | None) -> Iterator[pa.Table]:
    if meaning is not None:
        yield declared_row(meaning, DATA_SET_AS_A_WHOLE, ALL_WEEKS, EXTRAS.schema)


def _extra(rows: pa.Table, covariate: Covariate) -> pa.Table:
    constants = {"name": covariate.name, "dept": STORE_AS_A_WHOLE, "week": ALL_WEEKS}
    keys = {
        key: rows[key] if key in rows.column_names else pa.repeat(constants[key], len(rows))
        for key in EXTRAS.key
    }
    return pa.table({**keys, "value": rows[covariate.name]}).cast(EXTRAS.schema)


def _check_flags(files: Mapping[FileName, SourceFile]) -> None:
    may_have = [file for name, file in files.items() if _HOLIDAY in _OPTIONAL[name]]
    flagged = [file for file in may_have if _HOLIDAY in file.labels]
    unflagged = [file for file in may_have if _HOLIDAY not in file.labels]
    if flagged and unflagged:
        raise UserError(
            "BadData",
            f"{flagged[0].name} has a column {flagged[0].labels[_HOLIDAY]} and {unflagged[0].name} has none; "
            "give it to both, or to neither and the calendar's holidays count",
        )


def _check_one_flag(sales: Sheet, weeks: Sheet | None) -> None:
    """Rejects sales of a store's week with two different flags, in sales or between sales and store weeks."""
    pairs = [
        np.stack([store_week(sheet.values), sheet.column("is_holiday")])
        for sheet in (sales, weeks)
        if sheet is not None
    ]
    key = np.unique(np.concatenate(pairs, axis=1), axis=1)[0]
    twice = key[1:][key[1:] == key[:-1]]
    rule = f"{sales.labels['is_holiday']} must be the same in all rows of a store's week"
    sales.reject(np.isin(store_week(sales.values), twice), ("is_holiday",), rule, "same-holiday")


def _with_flags(rows: pa.Table) -> pa.Table:
    """Returns the rows with ``is_holiday``, taken from the calendar if the file has no flag."""
    if "is_holiday" in rows.column_names:
        return rows
    weeks = rows.column("week").combine_chunks().dictionary_encode()
    flags = pa.array([calendar.is_holiday(week) for week in weeks.dictionary.to_pylist()], pa.bool_())
    return rows.append_column("is_holiday", flags.take(weeks.indices))


def _store_weeks(sales: pa.Table, weeks: pa.Table | None, known: pa.Table) -> pa.Table:
    """Returns the file's rows, and rows without externals for the other store weeks with sales."""
    flagged = _with_flags(sales)
    key = store_week(sales)
    described = [store_week(known)]
    if weeks is not None:
        described.append(store_week(weeks))
    first = np.unique(key, return_index=True)[1]
    new = first[~np.isin(key[first], np.concatenate(described))]
    derived = _with_all_columns(flagged.select(["store", "week", "is_holiday"]).take(pa.array(new)))
    if weeks is None:
        return derived
    return pa.concat_tables([_with_all_columns(_with_flags(weeks)), derived])


def _with_all_columns(rows: pa.Table) -> pa.Table:
    for name in EXTERNALS:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(len(rows), pa.float64()))
    return rows.select(STORE_WEEKS.schema.names).cast(STORE_WEEKS.schema)
