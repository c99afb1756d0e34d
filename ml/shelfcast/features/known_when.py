"""When each value of the source becomes known, and the refusal of features that would use it earlier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from shelfcast.job import UserError
from shelfcast.snapshot import EXTERNALS, DeclaredColumn

SALES = "weekly_sales"

#: The Bureau of Labor Statistics publishes a month's consumer prices 10 to 18 days after its end, and states'
#: unemployment about three weeks after. The first whole week of a month so becomes known up to 7 weeks later.
_WEEKS_TO_PUBLICATION = 7

#: Of every data set, unless it declares otherwise. Late rather than early: a feature that is older than it
#: might be costs some accuracy, one that is newer makes a backtest lie.
SOURCE_COLUMNS: tuple[DeclaredColumn, ...] = (
    DeclaredColumn(SALES, "series_week", 0, "sales, US dollars"),
    DeclaredColumn("temperature", "store_week", 1, "mean of the week, degrees Fahrenheit"),
    DeclaredColumn("fuel_price", "store_week", 1, "US dollars a gallon"),
    DeclaredColumn("cpi", "store_week", _WEEKS_TO_PUBLICATION, "consumer price index"),
    DeclaredColumn("unemployment", "store_week", _WEEKS_TO_PUBLICATION, "percent"),
    # A chain knows its own promotions when the week is over at the latest.
    *(
        DeclaredColumn(name, "store_week", 0, "promotion, US dollars")
        for name in EXTERNALS
        if name.startswith("markdown")
    ),
    DeclaredColumn("type", "store", None, "type, 1 for A, 2 for B, .."),
    DeclaredColumn("size", "store", None, "size, square feet"),
)


@dataclass(frozen=True)
class Use:
    """What a feature reads.

    Attributes:
        column: Of the source.
        newest_week: Newest week whose value is read, relative to the origin, or to the target week if
            ``of_target``. None for a column that is not weekly.
        of_target: Whether weeks are counted from the target week.
        last_horizon: The feature is null for targets further ahead. None where there is no such limit.
    """

    column: str
    newest_week: int | None
    of_target: bool = False
    last_horizon: int | None = None

    def newest(self, horizon_weeks: int) -> int | None:
        """Returns the newest week that is read for any target, relative to the origin."""
        if self.newest_week is None or not self.of_target:
            return self.newest_week
        last = horizon_weeks if self.last_horizon is None else min(horizon_weeks, self.last_horizon)
        return self.newest_week + last


def source_columns(declared: Iterable[DeclaredColumn]) -> dict[str, DeclaredColumn]:
    """Returns all columns by name; a declaration overrides the default of an external."""
    return {column.name: column for column in (*SOURCE_COLUMNS, *declared)}


def check_uses(
    uses: Mapping[str, tuple[Use, ...]], sources: Mapping[str, DeclaredColumn], horizon_weeks: int
) -> None:
    """Refuses features that would use a value before it is known.

    Args:
        uses: What each feature reads, by its name.
        sources: By name.
        horizon_weeks: Largest number of weeks ahead.

    Raises:
        UserError: ``InvalidInput`` with the feature, the column and the week.
    """
    for feature, reads in uses.items():
        for use in reads:
            if use.column not in sources:
                raise UserError(
                    "InvalidInput",
                    f"feature {feature} uses {use.column}, which is no column of the source; declare it",
                )
            newest, after = use.newest(horizon_weeks), sources[use.column].known_after_weeks
            if after is not None and (newest is None or newest > -after):
                week = "all weeks" if newest is None else f"week {newest:+d} from the origin"
                raise UserError(
                    "InvalidInput",
                    f"feature {feature} uses {use.column} of {week}, but at the origin its newest known "
                    f"value is that of week {-after:+d}; use an older week, lower horizonWeeks "
                    f"({horizon_weeks}), or declare that {use.column} is known earlier",
                )


def earliest_origin(column: DeclaredColumn, week: date) -> date:
    """Returns the first origin whose features may use the column's value of that week.

    For an announced column it lies before the week. A column that is always known has ``date.min``: all
    origins may use it.
    """
    if column.known_after_weeks is None:
        return date.min
    return week + timedelta(weeks=column.known_after_weeks)
