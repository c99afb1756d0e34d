"""Publication lags: the week in which each source value becomes known, and a check of what features read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from shelfcast.job import UserError
from shelfcast.snapshot import EXTERNALS, Covariate

SALES = "weekly_sales"

#: The Bureau of Labor Statistics publishes a month's consumer prices 10 to 18 days after its end, and the
#: states' unemployment about three weeks after. The first week of a month is then known up to 7 weeks later.
_WEEKS_TO_PUBLICATION = 7

#: Publication lags that hold unless a data set declares another one. They are late rather than early: a lag
#: that is too long costs some accuracy, one that is too short makes a backtest look too good.
SOURCE_COLUMNS: tuple[Covariate, ...] = (
    Covariate(SALES, "series_week", 0, "sales, US dollars"),
    Covariate("temperature", "store_week", 1, "mean of the week, degrees Fahrenheit"),
    Covariate("fuel_price", "store_week", 1, "US dollars a gallon"),
    Covariate("cpi", "store_week", _WEEKS_TO_PUBLICATION, "consumer price index"),
    Covariate("unemployment", "store_week", _WEEKS_TO_PUBLICATION, "percent"),
    # A chain knows its own promotions when the week is over at the latest.
    *(
        Covariate(name, "store_week", 0, "promotion, US dollars")
        for name in EXTERNALS
        if name.startswith("markdown")
    ),
    Covariate("type", "store", None, "type, 1 for A, 2 for B, .."),
    Covariate("size", "store", None, "size, square feet"),
)


@dataclass(frozen=True)
class Use:
    """Source values that a feature reads.

    Attributes:
        column: Name of the source column.
        newest_week: Newest week that is read, relative to the origin, or to the target week if
            ``of_target``. None for a static covariate.
        of_target: Whether ``newest_week`` counts from the target week.
        last_horizon: Largest number of weeks ahead with a value, null beyond it. None for no limit.
    """

    column: str
    newest_week: int | None
    of_target: bool = False
    last_horizon: int | None = None

    def newest(self, horizon_weeks: int) -> int | None:
        """Returns the newest week that is read for any target week, relative to the origin."""
        if self.newest_week is None or not self.of_target:
            return self.newest_week
        last = horizon_weeks if self.last_horizon is None else min(horizon_weeks, self.last_horizon)
        return self.newest_week + last


def source_columns(declared: Iterable[Covariate]) -> dict[str, Covariate]:
    """Returns sales and all covariates by name; a declared external replaces its default."""
    return {column.name: column for column in (*SOURCE_COLUMNS, *declared)}


def check_uses(
    uses: Mapping[str, tuple[Use, ...]], sources: Mapping[str, Covariate], horizon_weeks: int
) -> None:
    """Checks that no feature reads a value before it is known.

    Args:
        uses: Source values that each feature reads, by feature name.
        sources: Source columns by name.
        horizon_weeks: Largest number of weeks ahead.

    Raises:
        UserError: ``InvalidInput`` with the feature, the column and the week.
    """
    for feature, reads in uses.items():
        for use in reads:
            if use.column not in sources:
                raise UserError(
                    "InvalidInput",
                    f"feature {feature} uses {use.column}, which is not a column of the source; declare it",
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


def earliest_origin(column: Covariate, week: date) -> date:
    """Returns the first origin whose features may read the column's value of that week.

    It lies before the week for a covariate known in advance, and is ``date.min`` for a static one.
    """
    if column.known_after_weeks is None:
        return date.min
    return week + timedelta(weeks=column.known_after_weeks)
