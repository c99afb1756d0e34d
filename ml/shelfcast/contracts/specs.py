"""Job specs: the contents of ``spec.json``.

Generated from contracts/ by ``npm run generate``; never edited by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from shelfcast.contracts.wire import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedSource:
    """Sales made by the generator.

    Attributes:
        kind: Kind of the source.
        stores: Number of stores.
        departments: Number of departments.
        weeks: Number of weeks of sales.
        seed: Seed of the generator.
    """

    kind: Literal["generated"] = "generated"
    stores: Annotated[int, Bounds(1, 10000)] = 45
    departments: Annotated[int, Bounds(1, 98)] = 14
    weeks: Annotated[int, Bounds(60, 1040)] = 104
    seed: Annotated[int, Bounds(0, 9007199254740991)] = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class WalmartSource:
    """A folder in the layout of the Walmart competition.

    Attributes:
        kind: Kind of the source.
        path: Absolute path of a folder with train.csv, features.csv and stores.csv.
    """

    kind: Literal["walmart-csv"] = "walmart-csv"
    path: str


#: Value of a week made of those of its days.
PerWeek = Literal["mean", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyCovariate:
    """A column with a value for each week.

    Attributes:
        name: Name of the column.
        of: Key of its values: series and week, or store and week.
        known_after_weeks: The value of week w is known at the end of week w + knownAfterWeeks; a negative
            number means known in advance.
        description: Meaning of the column, for people.
        column: Your name of the column, if it isn't `name`.
        per_week: Value of a week where days are summed to weeks: the mean of its days' values, unless `last`.
    """

    name: str
    of: Literal["series_week", "store_week"]
    known_after_weeks: Annotated[int, Bounds(-52, 52)]
    description: str
    column: str | None = None
    per_week: PerWeek | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticCovariate:
    """A column with one value for each store.

    Attributes:
        name: Name of the column.
        of: Key of its values: the store.
        description: Meaning of the column, for people.
        column: Your name of the column, if it isn't `name`.
    """

    name: str
    of: Literal["store"] = "store"
    description: str
    column: str | None = None


#: A column that the user adds to the sales.
Covariate = WeeklyCovariate | StaticCovariate


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRoles:
    """Your names of the columns of the long layout.

    Attributes:
        week: Last day of the week.
        store: Store; the cells of several columns are joined to one id, like `US/12`.
        dept: Department; the cells of several columns are joined to one id.
        sales: Sales of the department in the week.
        holiday: Whether the week is a holiday week.
        available: Share of the week, 0 to 1, in which the department was not out of stock.
        stock: Stock at the end of the week or day; 0 is a stock-out. In place of `available`.
        type: The store's type.
        size: The store's size.
        opened: First day of the store.
        closed: Last day of the store.
        like: Store, or in `items` department, from whose history a new one starts.
    """

    week: str | None = None
    store: str | list[str] | None = None
    dept: str | list[str] | None = None
    sales: str | None = None
    holiday: str | None = None
    available: str | None = None
    stock: str | None = None
    type: str | None = None
    size: str | None = None
    opened: str | None = None
    closed: str | None = None
    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """A store or a department that got another id.

    Attributes:
        of: Whether a store or a department got another id.
        from_: Former id.
        to: New id, which has the history of the former one.
    """

    of: Literal["store", "dept"]
    from_: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """A store or a department that became part of another one.

    Attributes:
        of: Whether stores or departments became one.
        from_: Id that is forecast no more.
        to: Id that remains, which has the history of both.
    """

    of: Literal["store", "dept"]
    from_: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HolidayRegion:
    """Country or region with a calendar of holidays.

    Attributes:
        country: Country, an ISO 3166 code like `DE`.
        region: Part of the country, like `BY`.
    """

    country: str
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holidays:
    """Calendars of public holidays: one for all stores, or by store.

    Attributes:
        country: Country, an ISO 3166 code like `DE`.
        region: Part of the country, like `BY`.
        stores: Country and region of single stores, by their ids.
    """

    country: str | None = None
    region: str | None = None
    stores: dict[str, HolidayRegion] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Ids whose rows are totals of others.

    Attributes:
        store: Ids that stand for all stores together.
        dept: Ids that stand for all departments of a store together.
    """

    store: list[str] | None = None
    dept: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Meaning of a source's columns (docs/data.md); in the input it replaces the folder's shelfcast.json.

    Attributes:
        columns: Your columns; one that is not named has its name of the long layout. Without a column of
            stores or of departments, there is one of them.
        ignore: Columns that are not read, and that the report does not name as unread.
        sum: `days` sums rows of days, or of sales at any time of day, to weeks.
        week_ends: Last weekday of the weeks to which days are summed; by default that of the data set, or
            Sunday for a new one.
        time_zone: Time zone of the stores (IANA): it decides the day of a timestamp with a zone, and whether
            a week is over; by default a timestamp has the day of its own zone, and a week is over in UTC.
        decimal: Decimal separator of numbers; by default the cells of a file tell it.
        date_format: Date format, like `DD.MM.YYYY`; by default the cells of a file tell it.
        sheet: Sheet of a workbook to read; by default the only one with data.
        missing_weeks: Meaning of weeks of a series without a row: `unknown`, or `zero` for weeks without
            sales; by default what an earlier load declared, or `unknown`.
        unit: Unit of the sales, such as a currency, `pieces` or `calls`; by default what an earlier load
            declared, or USD.
        covariates: Covariates; they replace the folder's columns.json.
        renamed: Stores and departments that got another id, in the order of the changes.
        merged: Stores and departments that became part of another one: their sales are summed.
        holidays: Public holidays that count in weeks without a holiday flag.
        levels: Levels of totals beside `store`, `dept` and `total`, each with the column that names the
            members, like `stores.region` or `items.category`; an earlier load keeps its levels.
        totals: Stores and departments that are totals of others: not read.
    """

    columns: ColumnRoles | None = None
    ignore: list[str] | None = None
    sum: Literal["days"] | None = None
    week_ends: (
        Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] | None
    ) = None
    time_zone: str | None = None
    decimal: Literal[".", ","] | None = None
    date_format: str | None = None
    sheet: str | None = None
    missing_weeks: Literal["unknown", "zero"] | None = None
    unit: str | None = None
    covariates: list[Covariate] | None = None
    renamed: list[Rename] | None = None
    merged: list[Merge] | None = None
    holidays: Holidays | None = None
    levels: dict[str, str] | None = None
    totals: Totals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LongSource:
    """Files in the long layout (docs/data.md).

    Attributes:
        kind: Kind of the source.
        path: Absolute path or URL of a folder with sales.csv, sales.parquet or sales.xlsx, or of a single
            file of sales.
        address_variable: Environment variable of the job that holds the URL instead; for a URL with a secret.
        encoding: Encoding of CSV files without a byte order mark; with `utf-8`, a file that is not UTF-8 is
            read as Windows-1252 and the report says so.
        columns: Covariates; they replace the folder's columns.json.
        declaration: Meaning of the columns; it replaces the folder's shelfcast.json.
    """

    kind: Literal["long"] = "long"
    path: str | None = None
    address_variable: str | None = None
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    columns: list[Covariate] | None = None
    declaration: Declaration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSource:
    """Queries on a PostgreSQL; each returns the columns of a file in the long layout.

    Attributes:
        kind: Kind of the source.
        address_variable: Environment variable of the job that holds the database's address; the address
            itself would stay in the run's history.
        sales: Query for the rows of sales.
        series_weeks: Query for the covariates of series and week.
        store_weeks: Query for the covariates of store and week.
        stores: Query for the stores and their static covariates.
        items: Query for the departments and their levels; read where a level names it.
        events: Query for all named events, past and future.
        columns: Covariates among the columns of the queries.
        declaration: Meaning of the columns of the queries.
    """

    kind: Literal["postgres"] = "postgres"
    address_variable: str
    sales: str
    series_weeks: str | None = None
    store_weeks: str | None = None
    stores: str | None = None
    items: str | None = None
    events: str | None = None
    columns: list[Covariate] | None = None
    declaration: Declaration | None = None


#: Source of the sales data.
Source = GeneratedSource | WalmartSource | LongSource | PostgresSource


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSpec:
    """Spec of the ingest job.

    Attributes:
        dataset: Name of the data set.
        request_id: Key of the run: a second job with the same id finds the load batch of the first job and
            adds no other.
        max_bad_row_share: Share of source rows that may be bad; above it the run stops and nothing is loaded.
        allow: Names of data-quality rules that this run may break (docs/data.md).
        acknowledge: Key of a stop by data-quality rules: this run loads the rows that were stopped, and no
            others (docs/data.md).
    """

    dataset: str
    request_id: str
    source: Source
    max_bad_row_share: Annotated[float, Bounds(0, 1)] = 0.01
    allow: list[str] | None = None
    acknowledge: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An immutable version of a data set.

    Attributes:
        id: `<dataset>-<batch number>-<first 12 hex digits of the content hash>`.
        dataset: Name of the data set.
        batch_id: Id of the newest load batch in it.
        content_hash: SHA-256 over all rows of the snapshot in key order, hex.
        row_count: Number of rows of sales.
        series_count: Number of series.
        first_week: First week with sales.
        last_week: Last week with sales.
        unit: Declared unit of the sales; absent where they are in USD.
    """

    id: str
    dataset: str
    batch_id: int
    content_hash: str
    row_count: int
    series_count: int
    first_week: date
    last_week: date
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesSpec:
    """Spec of the features job.

    Attributes:
        feast_project: Feast project of the data set.
        horizon_weeks: Weeks ahead to forecast.
        feature_set_version: Expected version of the feature definitions; the job stops before it writes if
            its own version differs.
        test_weeks: Test weeks of the training that follows; absent if none does.
        validation_weeks: Validation weeks of the training that follows; absent if none does.
    """

    snapshot: Snapshot
    feast_project: str
    horizon_weeks: Annotated[int, Bounds(1, 39)] = 8
    feature_set_version: str | None = None
    test_weeks: Annotated[int, Bounds(1, 52)] | None = None
    validation_weeks: Annotated[int, Bounds(1, 52)] | None = None


#: Name of a preset: a network, or a simple forecast.
Preset = Literal[
    "global",
    "ensemble",
    "lstm",
    "mlp-11",
    "naive",
    "seasonal_naive",
    "moving_average",
    "seasonal_average",
    "structural",
    "croston",
    "tsb",
    "simple",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Options of the parameter search.

    Attributes:
        trials: Number of trials.
    """

    trials: Annotated[int, Bounds(1, 500)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """Spec of the train job.

    Attributes:
        feast_project: Feast project of the data set.
        feature_set_version: Version of the feature definitions of the training data.
        training_data_uri: Folder that the features job wrote.
        horizon_weeks: Weeks ahead to forecast.
        test_weeks: Newest target weeks, kept for the backtest; the model never sees them.
        validation_weeks: Target weeks before the test weeks, for early stopping and interval calibration.
        with_replacements: Whether the job also exports the replacements that the gate may choose: the simple
            forecasts, and the model with wider intervals.
        preset: Preset of the model (docs/training.md).
        processes: Number of training processes. Each reads its own files of the training data, so there can
            be no more processes than files.
        max_epochs: Upper bound of epochs.
        batch_size: Samples in a minibatch.
        learning_rate: Peak learning rate.
        seed: Seed of initial weights and shuffling.
        max_wall_time_minutes: Wall time after which the training stops at the end of a step and keeps the
            best model so far. A restart continues to count from its checkpoint; starting processes, reading
            and exporting are not counted.
        gpu_seconds: The same bound in seconds of all GPUs together; without a GPU it has no effect.
        search: Search for learningRate, batchSize and weight decay on the validation weeks before the
            training.
    """

    snapshot: Snapshot
    feast_project: str
    feature_set_version: str
    training_data_uri: str
    horizon_weeks: Annotated[int, Bounds(1, 39)] = 8
    test_weeks: Annotated[int, Bounds(1, 52)] = 8
    validation_weeks: Annotated[int, Bounds(1, 52)] = 8
    with_replacements: bool | None = None
    preset: Preset = "global"
    processes: Annotated[int, Bounds(1, 16)] = 2
    max_epochs: Annotated[int, Bounds(1, 1000)] = 12
    batch_size: Annotated[int, Bounds(16, 65536)] = 1024
    learning_rate: Annotated[float, Bounds(0, 1)] = 0.002
    seed: Annotated[int, Bounds(0, 9007199254740991)] = 7
    max_wall_time_minutes: float | None = None
    gpu_seconds: float | None = None
    search: SearchOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSpec:
    """Spec of the evaluate job.

    Attributes:
        training_data_uri: Folder that the features job wrote.
        oracle_uri: Parquet file of the generator's noise-free means; null for real data.
        horizon_weeks: Weeks ahead to forecast.
        test_weeks: Newest target weeks, kept for the backtest; the model never sees them.
        candidate_uri: The candidate's model folder.
        champion_uri: The champion's model folder; null unless it was trained on the same data set.
        simple_uris: Model folders of the simple forecasts, the best one on the validation weeks first, if the
            training made them.
        wide_uri: The candidate's model folder with wider intervals, if the training made one.
        least_coverage80: Share of actuals in the 80 % interval below which the candidate with wider intervals
            is scored.
    """

    snapshot: Snapshot
    training_data_uri: str
    oracle_uri: str | None
    horizon_weeks: Annotated[int, Bounds(1, 39)] = 8
    test_weeks: Annotated[int, Bounds(1, 52)] = 8
    candidate_uri: str
    champion_uri: str | None
    simple_uris: list[str] | None = None
    wide_uri: str | None = None
    least_coverage80: float | None = None


#: Weeks that a training needs besides those for validation and test.
LEAST_TRAINING_WEEKS: int = 2


#: Maximum number of characters of the description of a covariate.
MAX_DESCRIPTION: int = 200


#: Unit of sales that declare none.
DEFAULT_UNIT: str = "USD"


#: Name of the rows of raw.extra with the share of a week in which a series was not out of stock.
AVAILABLE_ROWS: str = "share of the week in stock"


#: Name of the row of raw.extra that declares the meaning of weeks without a row.
MISSING_WEEKS_ROW: str = "missing weeks are zero"
