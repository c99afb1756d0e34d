"""A folder of sales, and its state at an origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.calendar import WEEK
from shelfcast.contracts.specs import Declaration, IngestSpec, LongSource
from shelfcast.contracts.wire import default
from shelfcast.features import training_data
from shelfcast.features.sales_history import SalesGrid
from shelfcast.ids import Ids
from shelfcast.ingest.bad_rows import write_bad_rows
from shelfcast.ingest.declaration import DECLARATION_FILE
from shelfcast.ingest.decompression import CSV_ENDINGS
from shelfcast.ingest.long_source import read_long_source
from shelfcast.ingest.source_checks import check_source
from shelfcast.ingest.walmart import read_folder
from shelfcast.job import UserError
from shelfcast.levels import Levels
from shelfcast.missing_weeks import ZERO, declared_meaning, with_zero_weeks
from shelfcast.snapshot import (
    COVARIATES,
    EXTRAS,
    IDS,
    LEVELS,
    SALES,
    STORE_WEEKS,
    Covariate,
    covariates_of,
    empty_tables,
    with_merged,
    with_null_weeks,
)

#: Share of bad rows above which a folder is rejected; the default of a pipeline.
MAX_BAD_ROW_SHARE: float = default(IngestSpec, "max_bad_row_share")
#: Minimum number of weeks before an origin, for training and validation.
MIN_WEEKS = 20

Series = tuple[int, int]


@dataclass(frozen=True)
class Folder:
    """Content of a folder.

    Attributes:
        tables: Tables of ``shelfcast.snapshot``, by name.
        columns: Covariates of the folder.
        notes: Sentences about rules that the sales break.
        unit: Unit of the sales; None if it is not declared.
    """

    tables: dict[str, pa.Table]
    columns: tuple[Covariate, ...]
    notes: tuple[str, ...] = ()
    unit: str | None = None

    @cached_property
    def ids(self) -> Ids:
        """Ids of the folder's stores, departments and store types."""
        return Ids.of(self.tables[IDS.name])

    @cached_property
    def levels(self) -> Levels:
        """Levels of the folder's series."""
        return Levels.of(self.tables[LEVELS.name])

    @property
    def sales(self) -> pa.Table:
        """``store``, ``dept``, ``week``, ``weekly_sales`` of the rows that the folder has."""
        return self.tables[SALES.name]

    @property
    def weeks(self) -> tuple[date, date]:
        """First and last week with sales."""
        bounds = pc.min_max(self.sales["week"])
        return bounds["min"].as_py(), bounds["max"].as_py()

    def known_at(self, origin: date) -> dict[str, pa.Table]:
        """Returns the tables up to the origin; covariates known in advance keep their later weeks.

        ``features.publication_lags`` decides which of these values a feature may use at which origin.
        """
        weeks_in_advance = max((-(column.known_after_weeks or 0) for column in self.columns), default=0)
        last = {SALES.name: origin} | dict.fromkeys(
            (STORE_WEEKS.name, EXTRAS.name), origin + max(weeks_in_advance, 0) * WEEK
        )
        known = {
            name: rows.filter(pc.less_equal(rows["week"], last[name])) if name in last else rows
            for name, rows in self.tables.items()
        }
        return known | {
            SALES.name: self._with_declared_zeros(known[SALES.name]),
            EXTRAS.name: with_null_weeks(known[EXTRAS.name]),
        }

    def _with_declared_zeros(self, sales: pa.Table) -> pa.Table:
        is_zero = declared_meaning(self.tables[EXTRAS.name]) == ZERO
        return with_zero_weeks(sales) if is_zero else sales

    def with_actuals(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Returns rows of store, dept and target_week with ``actual`` sales, US dollars, NaN if unknown."""
        actual = self.history.rename(columns={"week": "target_week", "weekly_sales": "actual"})
        return rows.merge(actual, on=["store", "dept", "target_week"], how="left", validate="many_to_one")

    @cached_property
    def history(self) -> pd.DataFrame:
        """``store``, ``dept``, ``week``, ``weekly_sales`` of all weeks in which sales are demand."""
        grid = self._grid
        series, week = np.nonzero(~np.isnan(grid.sales))
        columns = {
            "store": grid.store[series],
            "dept": grid.dept[series],
            "week": grid.weeks[week].astype(object),
            "weekly_sales": grid.sales[series, week],
        }
        return pd.DataFrame(columns)

    @property
    def hidden_weeks(self) -> int:
        """Number of weeks in which series were shut or out of stock, which are not scored."""
        return int(self._grid.hidden.sum())

    @cached_property
    def _grid(self) -> SalesGrid:
        sales = self._with_declared_zeros(self.sales)
        return training_data.grid_of(sales, with_null_weeks(self.tables[EXTRAS.name]))

    def series(self, first: date, last: date) -> set[Series]:
        """Returns the series with sales from the first to the last week, both included."""
        week = self.sales["week"]
        rows = self.sales.filter(pc.and_(pc.greater_equal(week, first), pc.less_equal(week, last)))
        pairs = rows.group_by(["store", "dept"]).aggregate([])
        return set(zip(pairs["store"].to_pylist(), pairs["dept"].to_pylist(), strict=True))


def read(path: Path, bad_rows: Path, declaration: Declaration | None = None) -> Folder:
    """Reads a folder in the Walmart or the long layout, or one file of sales (docs/data.md).

    Args:
        path: The folder or the file.
        bad_rows: CSV file for rows that violate rules, written if there are any.
        declaration: Meaning of the columns, instead of the folder's shelfcast.json.

    Raises:
        UserError: ``BadData``: the folder is in neither layout, or too many rows are bad.
    """
    if not path.exists():
        raise UserError("InvalidInput", f"--data: there is no folder or file {path}")
    is_declared = declaration is not None or (path / DECLARATION_FILE).exists()
    if not is_declared and any((path / f"train.{ending}").exists() for ending in CSV_ENDINGS):
        rows = read_folder(path, empty_tables())
    else:
        # A relative path would be taken for a URL.
        rows = read_long_source(LongSource(path=str(path.resolve()), declaration=declaration), empty_tables())
    bad = write_bad_rows(rows.findings, bad_rows)
    if bad > MAX_BAD_ROW_SHARE * rows.row_count:
        raise UserError(
            "BadData",
            f"{bad} of {rows.row_count} rows in {path} are bad, more than {MAX_BAD_ROW_SHARE:.0%}; see "
            f"{bad_rows}",
        )
    tables, checks = check_source(rows, empty_tables(), MAX_BAD_ROW_SHARE)
    if len(tables[SALES.name]) == 0:
        raise UserError("BadData", f"{path} has no good row of sales")
    return Folder(
        with_merged(tables),
        tuple(covariates_of(tables[COVARIATES.name])),
        tuple(check.in_words() for check in checks if check.rows > 0),
        rows.unit,
    )


def check_origins(folder: Folder, origins: Sequence[date]) -> None:
    """Checks that each origin can be forecast from.

    Raises:
        UserError: ``InvalidInput``: an origin is not a week of the folder, too few weeks precede it, or no
            series has sales in it.
    """
    first, last = folder.weeks
    with_sales = set(folder.sales["week"].unique().to_pylist())
    for origin in origins:
        days = (origin - first).days
        if days % 7:
            near = first + timedelta(days=7 * round(days / 7))
            raise UserError(
                "InvalidInput",
                f"--origins: {origin} is no week of the folder; its weeks end on {first:%A}s; did you mean "
                f"{near}?",
            )
        if not first + MIN_WEEKS * WEEK <= origin <= last:
            raise UserError(
                "InvalidInput",
                f"--origins: {origin} must be from {first + MIN_WEEKS * WEEK} to {last}: the sales of the "
                f"folder are of {first} to {last}, and {MIN_WEEKS} weeks must lie before an origin",
            )
        if origin not in with_sales:
            before = max(week for week in with_sales if week < origin)
            raise UserError(
                "InvalidInput",
                f"--origins: no series has sales in the week {origin}; the newest week before it that has "
                f"sales is {before}",
            )
