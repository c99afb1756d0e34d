"""Lines of an inspection: columns, rows, and what must change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.contracts.specs import IngestSpec
from shelfcast.contracts.wire import default
from shelfcast.features.enough_weeks import check_demand
from shelfcast.features.training_data import grid_of
from shelfcast.ids import Ids
from shelfcast.ingest.holiday_rows import NamedDays
from shelfcast.ingest.load_checks import SalesRows, find_gaps
from shelfcast.ingest.open_dates import OpenDates
from shelfcast.ingest.quality_rules import RULES
from shelfcast.ingest.source_checks import check_source
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.inspection.columns import Column
from shelfcast.inspection.holiday_guess import guess_countries
from shelfcast.inspection.roles import Guess, names_of
from shelfcast.inspection.sources import Sales
from shelfcast.inspection.stock_guess import guess_stock
from shelfcast.job import UserError
from shelfcast.missing_weeks import ZERO
from shelfcast.snapshot import EXTRAS, IDS, SALES, empty_tables, with_merged, with_null_weeks

_EXAMPLES = 3


@dataclass
class Inspection:
    """Result of an inspection.

    Attributes:
        declaration: Declaration with what the user declared and with all guesses.
        issues: Sentences about what must change before the data load.
        lines: Lines for the user.
    """

    declaration: dict[str, Any]
    issues: list[str]
    lines: list[str] = field(default_factory=list)

    def finish(self) -> None:
        """Adds what must change, and the declaration."""
        if self.issues:
            self.lines += ["", "must change", *(f"  {issue}" for issue in self.issues)]
        shown = json.dumps(self.declaration, indent=2, ensure_ascii=False)
        self.lines += [
            "",
            "declaration (save it with --write FILE)" if self.declaration else "declaration",
            shown,
        ]
        outcome = "something must change" if self.issues else "the data load with this declaration"
        self.lines += ["", f"result: {outcome}"]


def describe_columns(
    sales: Sales, columns: Sequence[Column], guess: Guess, declaration: Mapping[str, Any]
) -> Iterator[str]:
    """Yields a line for each file and each column."""
    yield f"{sales.file.name}: {sales.file.row_count:,} rows, {len(columns)} columns"
    yield from (f"{name} is read, too" for name in sales.others)
    yield from sales.remarks
    yield ""
    yield "columns"
    declared = declaration.get("columns", {})
    width = max(len(column.name) for column in columns)
    for column in columns:
        role = next((role for role, names in guess.columns.items() if column.name in names_of(names)), None)
        use = "ignored (guess)" if column.name in guess.ignore else "not read"
        if role is not None:
            use = role if role in declared or column.name == role else f"{role} (guess)"
        missing = f", {column.missing:,} missing" if column.missing else ""
        yield (
            f"  {column.name:{width}}  {use:16}  {column.kind}, {column.distinct:,} different{missing}, "
            f"like {column.example[:40]}"
        )
    for role in ("store", "dept"):
        if role not in guess.columns:
            yield f"  no column is a {role}, so there is one, named all (guess)"
    yield ""


def describe_rows(inspection: Inspection, rows: SourceRows, columns: Sequence[Column], guess: Guess) -> None:
    """Adds what the rows hold, and the rules that would stop a load or that it would report."""
    sales = with_merged(rows.tables)[SALES.name]
    inspection.lines.append("found")
    if len(sales) == 0:
        inspection.issues.append("no row of sales is good")
    else:
        inspection.lines += [f"  {line}" for line in _about_sales(rows, sales)]
    max_share: float = default(IngestSpec, "max_bad_row_share")
    tables, checks = check_source(rows, empty_tables(), max_share)
    stopping = {rule.name for rule in RULES if rule.severity == "error"}
    for check in checks:
        if check.rows == 0:
            continue
        text = check.in_words(_EXAMPLES)
        if check.rule in stopping:
            inspection.issues.append(text)
        else:
            inspection.lines.append(f"  {text}")
    if not inspection.issues:
        try:
            check_demand(grid_of(sales, with_null_weeks(tables[EXTRAS.name])))
        except UserError as error:
            inspection.issues.append(str(error))
    gaps = find_gaps(SalesRows.of(Ids.of(rows.tables[IDS.name]), sales))
    if gaps.look_like_zero and "missingWeeks" not in inspection.declaration:
        inspection.declaration["missingWeeks"] = ZERO
        inspection.lines.append(
            f"  guess: weeks without a row are weeks without sales (missingWeeks: {ZERO})"
        )
    stock = dict(guess_stock(columns, guess))
    if stock:
        title = "weeks without stock that you could declare (docs/data.md)"
        inspection.lines += ["", title, *(f"  {sentence}" for sentence in stock.values())]
    others = [column for column in columns if column.name not in stock]
    inspection.lines += _about_covariates(rows, others)
    if inspection.declaration.get("holidays") is None:
        guesses = [f"  {line}" for line in guess_countries(columns, guess, rows.tables)]
        inspection.lines += (
            ["", "holidays that you could declare (docs/data.md)", *guesses] if guesses else []
        )


def _about_sales(rows: SourceRows, sales: pa.Table) -> Iterator[str]:
    ids = rows.tables[IDS.name]
    series = sales.group_by(["store", "dept"]).aggregate([])
    for of, name in (("store", "store"), ("dept", "department")):
        numbers = series[of].unique()
        is_used = pc.and_(pc.equal(ids["of"], of), pc.is_in(ids["number"], numbers))
        named = ids.filter(is_used)["id"].to_pylist()
        one = len(numbers) == 1
        yield f"{len(numbers):,} {name}{'' if one else 's, like'} {', '.join(named[:_EXAMPLES])}"
    weeks = sales["week"].unique().sort()
    first, last = weeks[0].as_py(), weeks[-1].as_py()
    span = (last - first).days // 7 + 1
    yield f"{len(series):,} series"
    between = f"; {span - len(weeks)} between have no row" if span > len(weeks) else ""
    yield f"{len(weeks):,} weeks from {first} to {last}, which end on {last:%A}{between}"
    yield from _about_late_stores(sales, Ids.of(ids), OpenDates.of(rows.tables))
    values = sales["weekly_sales"]
    zeros = pc.sum(pc.equal(values, 0)).as_py() or 0
    bounds = pc.min_max(values).as_py()
    low, high = bounds["min"], bounds["max"]
    yield f"weekly sales from {low:,.10g} to {high:,.10g}, {zeros:,} of {len(sales):,} are 0"
    if rows.holidays.events is not None:
        yield from _about_events(rows.holidays.events)


def _about_late_stores(sales: pa.Table, ids: Ids, dates: OpenDates) -> Iterator[str]:
    newest = sales.group_by("store").aggregate([("week", "max")])
    last = pc.max(newest["week_max"])
    late = newest.filter(pc.less(newest["week_max"], last)).sort_by(
        [("week_max", "descending"), ("store", "ascending")]
    )
    next_week = late["week_max"].cast(pa.int32()).to_numpy().astype(np.int64) + 7
    late = late.filter(pa.array(~dates.is_outside(late["store"].to_numpy(), next_week)))
    if len(late) > 0:
        ends = [
            f"store {ids.id('store', row['store'])} ends with {row['week_max']}"
            for row in late.slice(0, _EXAMPLES).to_pylist()
        ]
        yield f"{len(late):,} of {len(newest):,} stores end before {last}: {'; '.join(ends)}"


def _about_events(events: NamedDays) -> Iterator[str]:
    days = sorted([*events.everywhere, *(day for days in events.by_store.values() for day in days)])
    if days:
        (first, name), (last, _) = days[0], days[-1]
        yield f"{len(days):,} events from {first} to {last}, like {name}"


def _about_covariates(rows: SourceRows, columns: Sequence[Column]) -> Iterator[str]:
    unread = {name.split(": ", 1)[1] for name in rows.unread if ": " in name}
    numbers = [
        column for column in columns if column.name in unread and column.is_number and column.distinct > 1
    ]
    if not numbers:
        return
    yield ""
    yield "covariates that you could declare (docs/data.md); 0 is for values known at the end of their week"
    for column in numbers:
        name = re.sub(r"[^a-z0-9]+", "_", column.name.casefold()).strip("_")[:40] or "covariate"
        entry = {"name": name, "of": "series_week", "knownAfterWeeks": 0, "description": column.name}
        if column.name != name:
            entry["column"] = column.name
        yield f"  {json.dumps(entry, ensure_ascii=False)}"
