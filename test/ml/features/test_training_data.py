import dataclasses
import inspect
import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from brute_force_features import Series, weekly_value
from feature_samples import (
    DECLARED,
    FIRST_WEEK,
    Tables,
    random_externals,
    random_extras,
    random_sales,
    random_tables,
    tables_of,
    week,
)

from shelfcast import calendar
from shelfcast.contracts.wire import encode
from shelfcast.features import training_data
from shelfcast.features.definitions import (
    CALENDAR,
    STORE_EXTERNALS,
    FeatureSet,
)
from shelfcast.features.samples import read_origin_table
from shelfcast.features.version import feature_set_version
from shelfcast.ids import PLAIN_IDS, Ids
from shelfcast.job import UserError

HORIZON = 3
FEATURES = FeatureSet(HORIZON)
WEEKS = 70


@pytest.fixture(scope="module")
def tables() -> Tables:
    return random_tables(seed=1, series=50, weeks=WEEKS)


@pytest.fixture(scope="module")
def folder(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("training-data")
    training_data.write(directory, tables.sales, tables.store_weeks, tables.stores, FEATURES)
    return directory


def rows_of(folder: Path) -> pd.DataFrame:
    return pd.concat([pq.read_table(path).to_pandas() for path in sorted(folder.glob("series-*.parquet"))])


def test_there_are_sixteen_files_with_the_contract_s_columns(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["calendar.parquet", "features.json", *(f"series-{n:02}.parquet" for n in range(16))]
    views = FEATURES.view_columns
    doubles = [*views["sales_history"], *views["store_externals"], *views["store_attributes"]]
    expected = pa.schema(
        [("store", pa.int64()), ("dept", pa.int64()), ("origin", pa.date32())]
        + [(name, pa.float64()) for name in [*doubles, "target_h1", "target_h2", "target_h3"]]
    )
    for path in folder.glob("series-*.parquet"):
        assert pq.read_schema(path).equals(expected), path.name


def test_every_row_of_sales_is_one_origin_in_order_and_a_series_is_in_one_file(
    folder: Path, tables: Tables
) -> None:
    seen: dict[tuple[int, int], Path] = {}
    for path in folder.glob("series-*.parquet"):
        rows = pq.read_table(path).to_pandas()
        assert rows[["store", "dept", "origin"]].apply(tuple, axis=1).is_monotonic_increasing
        for series in set(zip(rows["store"], rows["dept"], strict=True)):
            assert seen.setdefault(series, path) == path
    assert len(seen) > 2 * training_data.SERIES_FILES
    keys = rows_of(folder)[["store", "dept", "origin"]].apply(tuple, axis=1)
    sales = tables.sales.to_pandas()[["store", "dept", "week"]].apply(tuple, axis=1)
    assert sorted(keys) == sorted(sales)


def test_missing_values_are_null_and_never_nan_in_the_file(folder: Path) -> None:
    for path in folder.glob("series-*.parquet"):
        table = pq.read_table(path)
        for name in table.column_names[3:]:
            assert not pc.any(pc.is_nan(table[name])).as_py(), name


def test_targets_are_the_sales_of_the_weeks_after_the_origin(folder: Path, tables: Tables) -> None:
    sales = {
        (row["store"], row["dept"], row["week"]): row["weekly_sales"] for row in tables.sales.to_pylist()
    }
    unknown = 0
    for row in rows_of(folder).itertuples():
        for h in range(1, HORIZON + 1):
            expected = sales.get((row.store, row.dept, row.origin + timedelta(weeks=h)))
            unknown += expected is None
            # + 0.0: of the two zeros there is only the positive one.
            value = np.nan if expected is None else expected + 0.0
            np.testing.assert_equal(getattr(row, f"target_h{h}"), value)
    assert unknown > 0


@pytest.mark.parametrize("seed", range(3))
def test_columns_beside_sales_are_what_is_known_at_the_origin(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    sales, externals = random_sales(rng, 8, WEEKS, 0.2), random_externals(rng, WEEKS + 5)
    extras = random_extras(rng, DECLARED, WEEKS)
    tables = tables_of(sales, externals, extras)
    features = FeatureSet(4, DECLARED)
    training_data.write(tmp_path, tables.sales, tables.store_weeks, tables.stores, features, tables.extras)
    places = {name: place for place, name in enumerate(STORE_EXTERNALS)}

    def series(name: str, store: int, dept: int) -> Series:
        if name in places:
            return lambda n: externals.get((store, n), [None] * len(places))[places[name]]
        return lambda n: extras.get((name, store, dept, n))

    compared = set()
    for row in rows_of(tmp_path).to_dict("records"):
        t = (row["origin"] - week(0)).days // 7
        expected: dict[str, float] = {}
        for column in features.sources.values():
            dept = row["dept"] if column.of == "series_week" else 0
            if column.name == "parking_lots":
                expected[column.name] = extras.get((column.name, row["store"], 0, None))
            elif column.known_after_weeks is not None and column.name != "weekly_sales":
                expected |= weekly_value(series(column.name, row["store"], dept), column, t, 4)
        expected = {name: np.nan if value is None else value for name, value in expected.items()}
        expected |= {f"{name}_is_missing": float(np.isnan(expected[name])) for name in STORE_EXTERNALS}
        kind = {1: (1, 1e5), 2: (2, 2e5), 3: (3, 3e5), 4: (1, 4e5)}[row["store"]]
        expected |= dict(zip(("type_code", "size"), kind, strict=True))
        np.testing.assert_equal({name: row[name] for name in expected}, expected)
        compared |= {name for name, value in expected.items() if not np.isnan(value)}
    unknown = {"planned_promo_h4", "shelf_price_h3", "shelf_price_h4", "markdown1_h2"}
    unknown |= {"markdown1_h3", "markdown1_h4"}
    views = features.view_columns
    wanted = {*views["store_externals"], *views["store_attributes"], "returns_usd", "shelf_price"}
    assert compared == (wanted | {f"shelf_price_h{h}" for h in (1, 2)}) - unknown


def test_a_declared_column_without_values_is_null(tmp_path: Path) -> None:
    tables = tables_of({(1, 1, 0): 5.0, (1, 1, 1): 6.0}, {})
    features = FeatureSet(2, DECLARED)
    training_data.write(tmp_path, tables.sales, tables.store_weeks, tables.stores, features)
    names = [*(column.name for column in DECLARED), "shelf_price_h1", "planned_promo_h2"]
    assert rows_of(tmp_path)[names].isna().all(axis=None)


def test_the_calendar_reaches_sixty_weeks_beyond_the_snapshot(folder: Path) -> None:
    table = pq.read_table(folder / "calendar.parquet")
    assert table.schema.equals(pa.schema([("week", pa.date32()), *((name, pa.int64()) for name in CALENDAR)]))
    weeks = table["week"].to_pylist()
    assert weeks == [week(n) for n in range(WEEKS + 60)]
    assert table.to_pylist()[50] == {"week": week(50), **calendar.calendar_features(week(50))}


def test_features_json_says_what_a_model_may_use(folder: Path) -> None:
    description = json.loads((folder / "features.json").read_text())
    assert description == {
        "featureSetVersion": feature_set_version(FEATURES),
        "horizonWeeks": HORIZON,
        "features": encode(FEATURES.model_features),
    }
    views = FEATURES.view_columns
    for feature in description["features"]:
        for h in range(1, HORIZON + 1):
            assert feature["column"].replace("{horizon}", str(h)) in views[feature["view"]]


def test_fewer_series_than_files_leave_files_without_rows(tmp_path: Path) -> None:
    tables = tables_of({(1, 1, 0): 5.0, (1, 1, 1): 6.0}, {})
    training_data.write(tmp_path, tables.sales, tables.store_weeks, tables.stores, FeatureSet(1))
    counts = [pq.read_metadata(tmp_path / f"series-{n:02}.parquet").num_rows for n in range(16)]
    assert counts == [2, *[0] * 15]
    assert rows_of(tmp_path)["temperature"].isna().all()


def test_the_version_changes_with_a_formula_and_not_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    version = feature_set_version(FEATURES)
    assert version != feature_set_version(FeatureSet(HORIZON + 1))
    assert len(version) == 12
    plain = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda m: "# a remark\n" + plain(m).replace("Returns", "Gives"))
    assert feature_set_version(FEATURES) == version
    monkeypatch.setattr(inspect, "getsource", lambda m: plain(m).replace("count - 1", "count"))
    assert feature_set_version(FEATURES) != version


def test_the_version_changes_with_what_is_declared() -> None:
    promo = DECLARED[3]
    later = dataclasses.replace(promo, known_after_weeks=-4)
    versions = {feature_set_version(FeatureSet(2, columns)) for columns in [(), (promo,), (later,)]}
    assert len(versions) == 3


def test_types_have_numbers_and_what_is_unknown_is_nan(tmp_path: Path) -> None:
    tables = tables_of({(1, 1, 0): 5.0, (2, 1, 0): 6.0, (3, 1, 0): 6.0, (4, 1, 0): 6.0}, {(1, 0): [1.0] * 9})
    stores = pa.table({"store": [1, 2, 3], "type": ["mall", None, "B"], "size": [None, 3.0, 4.0]})
    ids = Ids({"store": {1: "CA_1"}, "dept": {}, "type": {1: "mall", 3: "b"}})
    training_data.write(tmp_path, tables.sales, tables.store_weeks, stores, FeatureSet(1), ids=ids)
    table = read_origin_table(tmp_path)
    names = [feature.name for feature in table.features]
    values = table.matrix(np.arange(4), np.ones(4, np.int64))
    rows = values[:, [names.index("type_code"), names.index("size")]][np.argsort(table.store)]
    unknown = np.nan
    np.testing.assert_array_equal(rows, [[1, unknown], [unknown, 3], [2, 4], [unknown, unknown]])
    assert (table.ids.id("store", 1), table.ids.id("store", 2), table.ids.id("type", 2)) == ("CA_1", "2", "B")
    training_data.write(tmp_path, tables.sales, tables.store_weeks, tables.stores, FeatureSet(1))
    assert not (tmp_path / "ids.json").exists()
    assert read_origin_table(tmp_path).ids == PLAIN_IDS


def test_stores_that_break_a_rule_are_refused() -> None:
    tables = tables_of({(1, 1, 0): 5.0, (2, 1, 0): 6.0}, {(1, 0): [1.0] * 9})
    sales, store_weeks, stores = tables.sales, tables.store_weeks, tables.stores
    wrong = stores.set_column(1, "type", pa.array(["A", "b", "C", "A"]))
    with pytest.raises(UserError, match=r"store type 'b' has no number in raw\.id"):
        training_data.prepare(sales, store_weeks, wrong)
    odd = store_weeks.set_column(1, "week", pa.array([FIRST_WEEK + timedelta(days=2)]))
    with pytest.raises(UserError, match="store week 2024-01-07 is not whole weeks from") as raised:
        training_data.prepare(sales, odd, stores)
    assert raised.value.type == "BadData"
