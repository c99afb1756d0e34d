"""On-demand views, services and descriptions, through Feast itself on a real PostgreSQL."""

import os
import subprocess
import sys
from datetime import UTC, datetime, time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import yaml
from feast import FeatureStore
from feature_samples import Tables, random_externals, random_sales, tables_of, week

from shelfcast.database import connect
from shelfcast.features import feast_repository, materialization, offline_tables, training_data
from shelfcast.features.definitions import FeatureSet, ModelFeature
from shelfcast.features.materialization import Window
from shelfcast.features.on_demand import ON_DEMAND
from shelfcast.features.presets import PRESETS
from shelfcast.models.presets import NETWORKS, build_network

PROJECT, WEEKS = "shelfcast_definitions", 60
FEATURES = FeatureSet(2)
ON_DEMAND_NAMES = [f"{view}:{name}" for view, names in ON_DEMAND.items() for name in names]


@pytest.fixture(scope="module")
def tables() -> Tables:
    rng = np.random.default_rng(4)
    sales = random_sales(rng, 9, WEEKS, 0.1) | {(1, 1, n): 10.0 for n in range(WEEKS)}
    return tables_of(sales, random_externals(rng, WEEKS))


@pytest.fixture(scope="module")
def store(database_url: str, tables: Tables) -> FeatureStore:
    """A project whose features are offline and online."""
    inputs = training_data.prepare(tables.sales, tables.store_weeks, tables.stores)
    _, last = inputs.weeks
    rows = [training_data.series_rows(inputs, n, FEATURES) for n in range(training_data.SERIES_FILES)]
    store = feast_repository.open_store(PROJECT, database_url)
    feast_repository.register_views(store, FEATURES)
    with connect(database_url) as connection:
        offline_tables.replace(
            connection,
            PROJECT,
            FEATURES,
            {
                "sales_history": [offline_tables.sales_history_rows(pa.concat_tables(rows))],
                "store_externals": [offline_tables.store_external_rows(inputs, FEATURES)],
                "store_attributes": [offline_tables.store_attribute_rows(inputs, FEATURES, last)],
                "calendar": [
                    offline_tables.calendar_store_rows(training_data.calendar_rows(*inputs.weeks), last)
                ],
            },
            datetime.now(UTC),
        )
    materialization.materialize(store, Window(*inputs.weeks))
    feast_repository.register_services(store, FEATURES)
    return store


def newest_origins(tables: Tables) -> dict[tuple[int, int], int]:
    rows = tables.sales.to_pylist()
    newest: dict[tuple[int, int], int] = {}
    for row in rows:
        key, number = (row["store"], row["dept"]), (row["week"] - week(0)).days // 7
        newest[key] = max(newest.get(key, 0), number)
    return newest


def expected(tables: Tables, store: int, dept: int, target: int) -> dict[str, float | None]:
    """Returns the on-demand features at the series' newest origin, by plain arithmetic on raw rows."""
    sales = {
        (row["week"] - week(0)).days // 7: row["weekly_sales"]
        for row in tables.sales.to_pylist()
        if (row["store"], row["dept"]) == (store, dept)
    }
    t = max(sales)
    quarter = [sales[n] for n in range(t - 12, t + 1) if n in sales]
    month = [sales[n] for n in range(t - 3, t + 1) if n in sales]
    span = max(quarter) - min(quarter)
    # A store's newest row is of the newest week in which it sells anything.
    origin = max(n for (s, _), n in newest_origins(tables).items() if s == store)
    markdowns = [
        row[f"markdown{n}"]
        for row in tables.store_weeks.to_pylist()
        if (row["store"], row["week"]) == (store, week(origin))
        for n in range(1, 6)
        if row[f"markdown{n}"] is not None
    ]
    holiday = training_data.calendar_features(week(target))["is_holiday"]
    return {
        "sales_position_13": (sales[t] - min(quarter)) / span if span > 0 else None,
        "observed_share_13": len(quarter) / 13,
        "holiday_markdown": sum(markdowns) * holiday if markdowns else None,
        "sales_per_square_foot": sum(month) / len(month) / (store * 1e5),
    }


HOLIDAY = next(n for n in range(WEEKS, WEEKS + 60) if training_data.calendar_features(week(n))["is_holiday"])


@pytest.mark.parametrize("target", [HOLIDAY, HOLIDAY + 1])
def test_on_demand_features_online_are_the_arithmetic_of_known_values(
    store: FeatureStore, tables: Tables, target: int
) -> None:
    series = list(newest_origins(tables))
    keys = [{"store": s, "dept": d, "week": week(target).isoformat()} for s, d in series]
    answer = store.get_online_features(features=ON_DEMAND_NAMES, entity_rows=keys).to_dict()
    nulls = 0
    for place, (s, d) in enumerate(series):
        for name, value in expected(tables, s, d, target).items():
            nulls += value is None
            assert answer[name][place] == (None if value is None else pytest.approx(value)), (name, s, d)
    assert nulls > 0
    assert any(answer["holiday_markdown"]) == (target == HOLIDAY)


def test_on_demand_features_of_the_past_are_the_same(store: FeatureStore, tables: Tables) -> None:
    series = list(newest_origins(tables))
    entities = pd.DataFrame(
        {
            "store": [s for s, _ in series],
            "dept": [d for _, d in series],
            "week": week(HOLIDAY).isoformat(),
            "event_timestamp": datetime.combine(week(WEEKS), time(tzinfo=UTC)),
        }
    )
    rows = store.get_historical_features(entity_df=entities, features=ON_DEMAND_NAMES).to_df()
    assert len(rows) == len(series)
    for row in rows.to_dict("records"):
        for name, value in expected(tables, row["store"], row["dept"], HOLIDAY).items():
            np.testing.assert_allclose(row[name], np.nan if value is None else value, err_msg=name)


def test_a_service_names_what_the_network_of_its_preset_uses(store: FeatureStore) -> None:
    names = [service.name for service in store.list_feature_services()]
    assert sorted(names) == [f"{preset}_{FEATURES.version}" for preset in sorted(PRESETS)]
    service = store.get_feature_service(f"global_{FEATURES.version}")
    columns = {field.name for view in service.feature_view_projections for field in view.features}
    assert {"last_year_h1", "last_year_h2", "cpi", "size", "is_holiday"} <= columns
    assert not columns & {"quarter", "weeks_since_last_sale", "cpi_is_missing", "is_easter"}
    assert service.tags == {
        "preset": "global",
        "feature_set_version": FEATURES.version,
        "horizon_weeks": "2",
    }


@pytest.mark.parametrize("preset", sorted(NETWORKS))
def test_the_network_of_a_preset_is_made_of_its_features_and_no_others(preset: str) -> None:
    used = [f for f in FEATURES.model_features if f["name"] in PRESETS[preset]]

    def forecast(features: list[ModelFeature]) -> torch.Tensor:
        ids = torch.ones(1, dtype=torch.int64)
        sample = torch.zeros(1, len(features), dtype=torch.float64)
        answer: torch.Tensor = build_network(preset, features, [1], [1], 2).eval()(sample, ids, ids, ids)
        return answer

    assert torch.isfinite(forecast(used)).all()
    for left_out in range(0, len(used), 5):
        with pytest.raises(KeyError):
            forecast(used[:left_out] + used[left_out + 1 :])


def test_everything_has_an_owner_and_a_description(store: FeatureStore) -> None:
    named = [
        *store.list_entities(),
        *store.list_feature_views(),
        *store.list_on_demand_feature_views(),
        *store.list_feature_services(),
    ]
    assert len(named) == 3 + 4 + len(ON_DEMAND) + len(PRESETS)
    for each in named:
        assert each.owner == "shelfcast", each.name
        assert each.description, each.name
        assert each.tags, each.name
    for view in store.list_feature_views():
        assert all(field.description for field in view.features), view.name
    for view in store.list_on_demand_feature_views():
        assert all(field.name in view.description for field in view.features), view.name


@pytest.mark.usefixtures("store")
def test_feasts_command_line_lists_the_views(database_url: str, tmp_path: Path) -> None:
    settings = feast_repository.settings(PROJECT, database_url)
    (tmp_path / "feature_store.yaml").write_text(yaml.safe_dump(settings))
    feast = Path(sys.executable).with_name("feast")
    listed = subprocess.run(
        [feast, "--chdir", tmp_path, "feature-views", "list"],
        env={**os.environ, "FEAST_USAGE": "False"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for view in [*FEATURES.view_columns, *ON_DEMAND]:
        assert view in listed.stdout
