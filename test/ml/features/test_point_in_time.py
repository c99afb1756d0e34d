"""Feast's point-in-time join against one written from the raw rows, and against the training data."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import astuple
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from brute_force_features import NAN, BruteForce, value_or_nan, weekly_value
from feast import FeatureStore, RepoConfig
from feature_samples import DECLARED, Tables, random_externals, random_extras, random_sales, tables_of, week
from raw_batches import add_batch

from shelfcast.calendar import calendar_features
from shelfcast.contracts.model import View
from shelfcast.contracts.specs import FeaturesSpec
from shelfcast.contracts.wire import decode
from shelfcast.database import connect
from shelfcast.features import feast_repository
from shelfcast.features.build import build_features
from shelfcast.features.definitions import STORE_EXTERNALS, STRUCTURAL, FeatureSet, missing_flag
from shelfcast.snapshot import ALL_WEEKS

HORIZON, WEEKS, ENTITIES = 2, 70, 120
FEATURES = FeatureSet(HORIZON, DECLARED)
COLUMNS = {column: view for view, columns in FEATURES.view_columns.items() for column in columns}
#: Number of a store in the samples -> its number here: store 1, dept 12 and store 11, dept 2 read alike.
STORES = {1: 1, 2: 11, 3: 12, 4: 2}
Row = dict[str, Any]
Rows = dict[Any, Any]
Snapshot = dict[str, Any]


def run(snapshot: Snapshot, folder: Path) -> None:
    folder.mkdir()
    project = f"shelfcast_{snapshot['dataset']}"
    spec = {"snapshot": snapshot, "feastProject": project, "horizonWeeks": HORIZON}
    build_features(decode(FeaturesSpec, spec, "spec"), folder)


def renumbered(tables: Tables) -> Tables:
    """Returns the tables with the numbers of ``STORES``."""

    def changed(rows: pa.Table) -> pa.Table:
        stores = pa.array([STORES[store] for store in rows["store"].to_pylist()], pa.int64())
        return rows.set_column(rows.schema.get_field_index("store"), "store", stores)

    return Tables(changed(tables.sales), changed(tables.store_weeks), changed(tables.stores))


def changed_again(rng: np.random.Generator, rows: Rows, wrong: Callable[[Any], Any]) -> list[Rows]:
    """Returns rows in three batches: the second brings what was late or wrong and some once more.

    The third changes all of them.
    """
    fate = {key: rng.random() for key in rows}
    return [
        {key: wrong(value) if fate[key] < 0.2 else value for key, value in rows.items() if fate[key] > 0.1},
        {key: value for key, value in rows.items() if fate[key] < 0.3},
        {key: wrong(value) for key, value in rows.items()},
    ]


def add_batches(url: str, dataset: str, rng: np.random.Generator) -> list[Snapshot]:
    """Loads three batches of random rows with gaps; the second one's snapshot is what the tests ask for."""
    sales = random_sales(rng, 40, WEEKS, 0.1, departments=12)
    sales |= {(1, 12, n): 20.0 + n for n in range(WEEKS)} | {(2, 2, n): 900.0 - n for n in range(0, WEEKS, 2)}
    extras = random_extras(rng, DECLARED, WEEKS)
    batches = zip(
        changed_again(rng, sales, lambda value: value + 500),
        changed_again(rng, random_externals(rng, WEEKS), lambda values: [7.0] + [None] * (len(values) - 1)),
        changed_again(rng, extras, lambda value: None if value else 3.0),
        strict=True,
    )
    snapshots = []
    for of_series, of_stores, own in batches:
        snapshot = add_batch(url, dataset, renumbered(tables_of(of_series, of_stores)))
        add_declared(url, snapshot, own)
        snapshots.append(snapshot)
    return snapshots


def add_declared(url: str, snapshot: Snapshot, extras: Rows) -> None:
    """Adds declared columns and their values to a batch."""
    batch = (snapshot["dataset"], snapshot["batchId"])
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into raw.declared_column values (%s, %s, %s, %s, %s, %s)",
            [(batch[0], *astuple(column), batch[1]) for column in DECLARED],
        )
        cursor.executemany(
            "insert into raw.extra values (%s, %s, %s, %s, %s, %s, %s)",
            [
                (batch[0], name, STORES[store], dept, ALL_WEEKS if n is None else week(n), value, batch[1])
                for (name, store, dept, n), value in extras.items()
            ],
        )


def newest(url: str, snapshot: Snapshot, table: str, keys: int, columns: str) -> Rows:
    """Returns the newest row of each key of a raw table as of the snapshot's batch."""
    with connect(url) as connection:
        rows = connection.execute(
            f"select {columns} from raw.{table} where dataset = %s and batch_id <= %s order by batch_id",
            [snapshot["dataset"], snapshot["batchId"]],
        ).fetchall()
    return {row[:keys]: row[keys:] for row in rows}


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(tzinfo=UTC))


def week_number(day: date) -> int:
    return (day - week(0)).days // 7


class RawRows:
    """Raw rows of a snapshot, looked up for an entity and a moment one value at a time."""

    def __init__(self, url: str, snapshot: Snapshot) -> None:
        sales = newest(url, snapshot, "sales", 3, "store, dept, week, weekly_sales")
        weekly = newest(url, snapshot, "store_week", 2, f"store, week, {', '.join(STORE_EXTERNALS)}")
        extras = newest(url, snapshot, "extra", 4, "name, store, dept, week, value")
        self.sales = {(s, d, week_number(day)): value for (s, d, day), (value,) in sales.items()}
        #: (name, store, dept or 0, week number) -> value; of columns of stores the number is below zero.
        self.values = {
            (name, s, d, week_number(day)): value for (name, s, d, day), (value,) in extras.items()
        }
        for (s, day), values in weekly.items():
            for name, value in zip(STORE_EXTERNALS, values, strict=True):
                self.values[name, s, 0, week_number(day)] = value
        self.stores = newest(url, snapshot, "store", 1, "store, type, size")
        self.last = max(n for _, _, n in self.sales)
        self.brute_force = BruteForce(self.sales)

    def at(self, store: int, dept: int, target: date, moment: datetime) -> Row:
        """Returns all features that are known at the moment; NaN where nothing is."""
        past = [n for n in range(self.last + 1) if midnight(week(n)) <= moment]
        row: Row = dict.fromkeys(COLUMNS, NAN)
        of_series = [n for n in past if (store, dept, n) in self.sales]
        if of_series:
            row |= self.brute_force.features(store, dept, of_series[-1], HORIZON)
            row |= self.weekly("sales_history", store, dept, of_series[-1])
        of_store = [n for n in past if any((s, w) == (store, n) for s, _, w in self.sales)]
        if of_store:
            row |= self.weekly("store_externals", store, 0, of_store[-1])
            row |= {missing_flag(name): float(math.isnan(row[name])) for name in STORE_EXTERNALS}
        # The two other views have rows as of the last week only.
        if self.last in past and any(s == store for s, _, _ in self.sales):
            type_, size = self.stores[store,]
            row |= {"type_code": ord(type_) - ord("A") + 1, "size": size}
            row["parking_lots"] = self.values["parking_lots", store, 0, week_number(ALL_WEEKS)]
        if self.last in past and week(0) <= target <= week(self.last + 60):
            row |= calendar_features(target)
        return row

    def weekly(self, view: View, store: int, dept: int, t: int) -> Row:
        """Returns the weekly columns of a view beside those made of sales, at an origin."""
        row: Row = {}
        for column in FEATURES.sources.values():
            if column.name in FEATURES.view_columns[view]:
                values = partial(self.value, column.name, store, dept)
                row |= weekly_value(values, column, t, HORIZON)
        return row

    def value(self, name: str, store: int, dept: int, n: int) -> float | None:
        """Returns the value of a week."""
        return self.values.get((name, store, dept, n))


def random_entities(rng: np.random.Generator, raw: RawRows) -> pd.DataFrame:
    """Returns entity rows at origins, between and around them; of unknown series too."""
    keys = [*sorted({(s, d) for s, d, _ in raw.sales}), (99, 1), (1, 99)]
    moments = [midnight(week(n)) for n in range(-2, WEEKS + 4)]
    offsets = [
        timedelta(0),
        timedelta(microseconds=-1),
        timedelta(microseconds=1),
        timedelta(days=3, hours=5),
    ]
    rows = [
        (
            *keys[rng.integers(len(keys))],
            week(int(rng.integers(-1, WEEKS + 70))).isoformat(),
            moments[rng.integers(len(moments))] + offsets[rng.integers(len(offsets))],
        )
        for _ in range(ENTITIES)
    ]
    for moment in (moments[0], moments[40], moments[41], moments[-1]):
        rows += [(1, 12, week(50).isoformat(), moment), (11, 2, week(50).isoformat(), moment)]
    frame = pd.DataFrame(rows, columns=["store", "dept", "week", "event_timestamp"])
    return frame.assign(place=range(len(rows)))


def history(store: FeatureStore, entities: pd.DataFrame) -> list[Row]:
    """Returns what Feast finds for each entity row, in their order."""
    names = [f"{view}:{column}" for column, view in COLUMNS.items()]
    found = store.get_historical_features(entity_df=entities, features=names).to_df()
    assert sorted(found["place"]) == list(entities["place"])
    rows: list[Row] = found.sort_values("place").to_dict("records")
    return rows


def training_rows(folder: Path) -> dict[tuple[int, int], dict[datetime, Row]]:
    """Returns the training data by series and origin; null is NaN."""
    rows: dict[tuple[int, int], dict[datetime, Row]] = defaultdict(dict)
    for path in sorted(folder.glob("series-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            series = rows[row["store"], row["dept"]]
            series[midnight(row["origin"])] = {name: value_or_nan(value) for name, value in row.items()}
    return rows


def newest_origin(
    training: dict[tuple[int, int], dict[datetime, Row]], store: int, moment: datetime
) -> datetime:
    """Returns the newest week up to the moment in which the store has sales."""
    return max(o for (s, _), rows in training.items() if s == store for o in rows if o <= moment)


@pytest.mark.parametrize("seed", range(2))
def test_feasts_point_in_time_join_is_that_of_the_raw_rows_and_the_training_data(
    url: str, tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dataset = f"point_in_time_{seed}"
    snapshots = add_batches(url, dataset, rng)
    for name, snapshot in zip(("first", "second"), snapshots, strict=False):
        run(snapshot, tmp_path / name)
    raw, training = RawRows(url, snapshots[1]), training_rows(tmp_path / "second")
    entities = random_entities(rng, raw)
    with feast_repository.open_store(f"shelfcast_{dataset}", url) as store:
        found = history(store, entities)
    compared: Counter[str] = Counter()
    for asked, row in zip(entities.to_dict("records"), found, strict=True):
        s, d, moment = asked["store"], asked["dept"], asked["event_timestamp"].to_pydatetime()
        expected = raw.at(s, d, date.fromisoformat(asked["week"]), moment)
        for name in COLUMNS:
            if name.startswith(STRUCTURAL):
                continue  # It is compared with the training data below.
            np.testing.assert_allclose(
                row[name], expected[name], rtol=1e-9, atol=1e-9, err_msg=f"{name} of {asked}"
            )
        origins = [origin for origin in training[s, d] if origin <= moment]
        if not origins:
            compared["nothing known"] += 1
            continue
        # The training data have what the store knew at the series' own origins.
        same_week = max(origins) == newest_origin(training, s, moment)
        for view in ("sales_history", *(["store_externals"] if same_week else [])):
            compared[view] += 1
            for name in FEATURES.view_columns[view]:
                np.testing.assert_equal(row[name], training[s, d][max(origins)][name], f"{name} of {asked}")
    assert min(compared.values()) > 5
    assert len(compared) == 3


def test_feasts_own_store_mixes_up_series_whose_numbers_read_alike(url: str, tmp_path: Path) -> None:
    project = "shelfcast_point_in_time_alike"
    sales = {(1, 12, n): 1.0 for n in range(4)} | {(2, 2, n): 2.0 for n in range(4)}
    snapshot = add_batch(url, "point_in_time_alike", renumbered(tables_of(sales, {})))
    run(snapshot, tmp_path / "run")
    entities = pd.DataFrame({"store": [1, 11], "dept": [12, 2], "event_timestamp": midnight(week(3))})
    settings = feast_repository.settings(project, url)
    found = {}
    for type_ in ("postgres", settings["offline_store"]["type"]):
        offline = settings["offline_store"] | {"type": type_}
        store = FeatureStore(config=RepoConfig(**settings | {"offline_store": offline}))
        rows = store.get_historical_features(entities, ["sales_history:sales_0"]).to_df()
        found[type_] = sorted(zip(rows["store"], rows["sales_0"], strict=True))
    # The day that Feast's own store tells them apart, ours has no reason to be.
    assert found == {
        "postgres": [(1, 1.0), (1, 2.0), (11, 1.0), (11, 2.0)],
        settings["offline_store"]["type"]: [(1, 1.0), (11, 2.0)],
    }
