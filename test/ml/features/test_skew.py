"""The features job's own check that training data, offline tables and online features agree."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from feature_samples import Sales, tables_of, week
from raw_batches import add_batch

from shelfcast.contracts.results import FeaturesResult
from shelfcast.contracts.specs import FeaturesSpec
from shelfcast.contracts.wire import decode
from shelfcast.database import connect
from shelfcast.features import skew
from shelfcast.features.build import build_features
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.version import feature_set_version
from shelfcast.job import path_of

HORIZON, WEEKS = 3, 60
FEATURES = FeatureSet(HORIZON)
ORIGIN = week(WEEKS - 1)
#: More series than a sample holds; the series (3, 1) ends before the last week.
SALES: Sales = {
    (s, d, n): 100.0 * s + 10 * d + n % 7
    for s in (1, 2, 3)
    for d in range(1, 41)
    for n in range(30 if (s, d) == (3, 1) else WEEKS)
}
EXTERNALS: dict[tuple[int, int], list[float | None]] = {
    (s, n): [None if n % 2 else 40.5, 0.0, -0.0, 0.1 + 0.2, 5e-324, None, 1.0, 2.0, 3.0]
    for s in (1, 2, 3)
    for n in range(WEEKS)
}


@dataclass(frozen=True)
class Built:
    """A features job that ended, and its folder."""

    spec: FeaturesSpec
    folder: Path
    result: FeaturesResult


@pytest.fixture(scope="module")
def built(database_url: str, ray_address: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Features of a data set; tests that change its tables put them back."""
    folder = tmp_path_factory.mktemp("skew")
    snapshot = add_batch(database_url, "skew", tables_of(SALES, EXTERNALS))
    fields = {"snapshot": snapshot, "feastProject": "shelfcast_skew", "horizonWeeks": HORIZON}
    spec = decode(FeaturesSpec, fields, "spec")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database_url)
        patch.setenv("RAY_ADDRESS", ray_address)
        return Built(spec, folder, build_features(spec, folder))


def test_the_sample_is_what_the_training_data_and_feast_say(built: Built) -> None:
    found = json.loads(path_of(built.result.skew_sample_uri).read_text(encoding="utf-8"))
    names = [feature.name for feature in FEATURES.model_features]
    sample = found.pop("sample")
    assert found == {
        "snapshotId": built.spec.snapshot.id,
        "featureSetVersion": feature_set_version(FEATURES),
        "origin": ORIGIN.isoformat(),
        "comparedValues": skew.SAMPLE_SIZE * len(names),
    }
    assert len({(row["store"], row["dept"]) for row in sample}) == skew.SAMPLE_SIZE
    assert {row["horizon"] for row in sample} == {1, 2, 3}
    assert (3, 1) not in {(row["store"], row["dept"]) for row in sample}
    for row in sample:
        s, d, h = row["store"], row["dept"], row["horizon"]
        features = row["features"]
        assert list(features) == names
        if (s, d, WEEKS - 1) not in SALES:
            # A described store without sales has estimates.
            assert features["weeks_since_first"] is None
            continue
        assert row["targetWeek"] == week(WEEKS - 1 + h).isoformat()
        assert features["lag_1"] == SALES[s, d, WEEKS - 2]
        assert features["last_year"] == SALES[s, d, WEEKS - 1 + h - 52]
        assert features["cpi"] == 0.0
        assert features["temperature"] == EXTERNALS[s, WEEKS - 2][0]
        assert features["size"] == s * 1e5
        assert features["week_of_year"] == week(WEEKS - 1 + h).isocalendar().week


def test_each_snapshot_has_a_sample_of_its_own(built: Built) -> None:
    keys = [skew.draw(built.folder, ORIGIN, seed).keys for seed in (1, 1, 2)]
    assert keys[0] == keys[1] != keys[2]


@contextmanager
def changed(url: str, table: str, statement: str) -> Iterator[None]:
    """Changes a table for the length of the block."""
    with connect(url) as connection:
        connection.execute(f"create table ops.kept as table {table}")
        connection.execute(statement)
    yield
    with connect(url) as connection:
        connection.execute(f"delete from {table}")
        connection.execute(f"insert into {table} table ops.kept")
        connection.execute("drop table ops.kept")


def test_a_value_that_differs_is_named(url: str, built: Built) -> None:
    for where, view, change, said in [
        ("offline", "sales_history", "lag_1 = lag_1 + 5e-10", "Feast's offline table has"),
        ("offline", "store_externals", "cpi = null", "Feast's offline table has unknown"),
        ("offline", "calendar", "month = month + 1", "Feast's offline table has"),
        ("online", "sales_history", "dept_season_h2 = null", "Feast answers online unknown"),
        ("online", "store_externals", "fuel_price = '-0'", "Feast answers online -0.0"),
        ("online", "store_externals", "markdown2 = 0", "Feast answers online 0.0"),
        ("online", "store_attributes", "size = size * 2", "Feast answers online"),
    ]:
        table = f"feast_{where}.shelfcast_skew_{view}"
        column = change.split(" ")[0]
        with (
            changed(url, table, f"update {table} set {change}"),
            pytest.raises(RuntimeError, match=rf"^{view} of .*: {column} is .* in the training data, {said}"),
        ):
            skew.check(url, built.spec, built.folder, FEATURES, ORIGIN)
    skew.check(url, built.spec, built.folder, FEATURES, ORIGIN)


def test_an_entity_that_is_not_online_is_a_difference(url: str, built: Built) -> None:
    table = "feast_online.shelfcast_skew_calendar"
    with (
        changed(url, table, f"delete from {table}"),
        pytest.raises(
            RuntimeError, match=r"^calendar of week 20\d\d-\d\d-\d\d: is_holiday is .* online unknown"
        ),
    ):
        skew.check(url, built.spec, built.folder, FEATURES, ORIGIN)
