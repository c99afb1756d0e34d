"""Rules of the data-quality checks, by name."""

from __future__ import annotations

from dataclasses import dataclass

from shelfcast.contracts.results import Severity
from shelfcast.contracts.specs import TrainSpec
from shelfcast.contracts.wire import default

#: Weeks that a data set needs for one seasonal naive forecast.
LAST_YEAR_WEEKS = 53
#: Weeks that a data set needs so that some training weeks, too, have a week one year before.
LEARN_SEASON_WEEKS: int = (
    LAST_YEAR_WEEKS + default(TrainSpec, "validation_weeks") + default(TrainSpec, "test_weeks")
)


@dataclass(frozen=True)
class Rule:
    """Rule of the data-quality checks.

    Attributes:
        name: Name in the report; a person overrides an error by it.
        severity: Consequence of a broken rule.
        text: Requirement in words.
    """

    name: str
    severity: Severity
    text: str


#: Rules for single rows. A row that breaks one is left out and reported in bad-rows.csv.
ROW_RULES = (
    Rule("cell-count", "warning", "a row has as many cells as the header"),
    Rule("id", "warning", "stores and departments are text of 1 to 100 characters"),
    Rule("number", "warning", "a number is finite, with a decimal point and without thousands separators"),
    Rule("number-above-zero", "warning", "a store's size is above 0, or NA"),
    Rule("flag", "warning", "a holiday flag is TRUE or FALSE, yes or no, or 1 or 0"),
    Rule("type", "warning", "a store's type and the member of a level are text of 1 to 40 characters, or NA"),
    Rule(
        "date",
        "warning",
        "a week is a real date, written like 2012-01-27, and has no time of day unless it is declared",
    ),
    Rule("far-date", "warning", "a date is from 1980 to 2099, and within two years of the others"),
    Rule("unique-key", "warning", "a store, a store's week and a series' week occur once"),
    Rule("weekday", "warning", "all weeks end on one weekday, that of the data set"),
    Rule("store-in-file", "warning", "a store of a row is in the source's file of stores"),
    Rule("store-week-in-file", "warning", "a week of sales is in the source's file of store weeks"),
    Rule("share", "warning", "the share of a week in stock is from 0 to 1, or NA"),
    Rule("like", "warning", "what a store or a department is like is another one of the data, or NA"),
    Rule("open-dates", "warning", "a store does not close before it opens"),
    Rule("same-holiday", "warning", "a week of sales has the holiday flag of its store week"),
)

#: Rules for the whole load.
LOAD_RULES = (
    Rule("bad-row-share", "error", "no more than maxBadRowShare of the rows break a rule for single rows"),
    Rule(
        "unknown-store",
        "error",
        "a store with sales has a row of type and size, from this load or an earlier one, where others have",
    ),
    Rule("future-week", "error", "sales are of weeks that are over"),
    Rule("unit", "error", "sales are in the unit of the data set, which is USD where none was declared"),
    Rule("sales-range", "error", "sales of a department in a week are within 1e9 of zero"),
    Rule(
        "external-range",
        "error",
        "temperatures are from -130 to 140 degrees Fahrenheit, unemployment from 0 to 100 percent, fuel and "
        "CPI above 0",
    ),
    Rule(
        "row-count-change",
        "error",
        "the number of rows of a week differs by at most 50 % from its earlier number or, for a new week, "
        "from the median of the 8 nearest weeks",
    ),
    Rule(
        "mean-sales-change",
        "error",
        "the mean sales of a week are a third to three times its earlier mean or, for a new week, the median "
        "of the 8 nearest weeks",
    ),
    Rule(
        "unread-column",
        "warning",
        "every column of the source is a known one, a declared one or ignored",
    ),
    Rule(
        "file-format", "warning", "files are in UTF-8, with commas, decimal points and dates like 2012-01-27"
    ),
    Rule(
        "empty-sales",
        "warning",
        "a row of sales has a value; one without counts as a week without a row",
    ),
    Rule(
        "similar-id",
        "warning",
        "no id differs from another one only in zeros before or after a number, case, white space or width",
    ),
    Rule("covariate-empty", "warning", "a covariate has a value"),
    Rule(
        "covariate-late",
        "warning",
        "a covariate has a value for the newest week that its knownAfterWeeks says is known",
    ),
    Rule("no-store-described", "warning", "stores with sales have a row of type and size"),
    Rule(
        "holiday-source",
        "warning",
        "the load has holiday flags, a calendar or events, or an earlier one had; otherwise the American "
        "holidays count",
    ),
    Rule(
        "holidays-ahead",
        "warning",
        "of a data set with its own holidays, each store's are known in its weeks with sales and in the 13 "
        "weeks after the newest",
    ),
    Rule("events-empty", "warning", "a list of events has a row; one without cancels all events"),
    Rule("new-store", "warning", "the data set has had sales of the store before"),
    Rule("partial-week", "warning", "the first and the last week of summed days have all of their days"),
    Rule("missing-week", "warning", "a series has every week from its first to its last"),
    Rule(
        "undeclared-gaps",
        "warning",
        "a tenth of the weeks within series, or more, has no row only where missingWeeks is declared",
    ),
    Rule("gaps-redeclared", "warning", "missingWeeks is as an earlier load declared it"),
    Rule(
        "short-history",
        "warning",
        f"the data set has {LEARN_SEASON_WEEKS} weeks, so that a model can learn from weeks with a last year",
    ),
    Rule("level-member", "warning", "a store or department with sales has a member at each declared level"),
    Rule("like-without-sales", "warning", "a new store or department is like one with sales"),
    Rule("outside-open-dates", "warning", "a store sells only from its opening to its closing"),
    Rule(
        "merged-attributes",
        "warning",
        "stores and departments that become one have the same type, size and members of levels",
    ),
    Rule(
        "total-row",
        "warning",
        "sales have no totals of stores or departments; declared ones are left out",
    ),
    Rule("stock-out", "warning", "no series was out of stock in a week of the load"),
    Rule("negative-sales", "warning", "sales are not below zero (returns)"),
)

RULES = (*ROW_RULES, *LOAD_RULES)
