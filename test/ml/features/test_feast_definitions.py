"""Feature services and descriptions, through Feast itself on a real PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from feast import FeatureStore
from feature_samples import Tables, random_externals, random_sales, tables_of

from shelfcast.contracts.model import ModelFeature
from shelfcast.database import connect
from shelfcast.features import feast_repository, materialization, offline_tables, training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.materialization import Window
from shelfcast.features.preset_features import PRESET_FEATURES
from shelfcast.features.version import feature_set_version
from shelfcast.models.presets import PRESETS, build_network

PROJECT, WEEKS = "shelfcast_definitions", 60
FEATURES = FeatureSet(2)


@pytest.fixture(scope="module")
def tables() -> Tables:
    rng = np.random.default_rng(4)
    sales = random_sales(rng, 9, WEEKS, 0.1) | {(1, 1, n): 10.0 for n in range(WEEKS)}
    return tables_of(sales, random_externals(rng, WEEKS))


@pytest.fixture(scope="module")
def store(database_url: str, tables: Tables) -> Iterator[FeatureStore]:
    """A project whose features are offline and online."""
    inputs = training_data.prepare(tables.sales, tables.store_weeks, tables.stores)
    inputs = training_data.with_structural(inputs, FEATURES)
    _, last = inputs.weeks
    rows = [training_data.series_rows(inputs, n, FEATURES) for n in range(training_data.SERIES_FILES)]
    with feast_repository.open_store(PROJECT, database_url) as store:
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
        yield store


def test_a_service_names_what_the_network_of_its_preset_uses(store: FeatureStore) -> None:
    names = [service.name for service in store.list_feature_services()]
    assert sorted(names) == [
        f"{preset}_{feature_set_version(FEATURES)}" for preset in sorted(PRESET_FEATURES)
    ]
    service = store.get_feature_service(f"global_{feature_set_version(FEATURES)}")
    columns = {field.name for view in service.feature_view_projections for field in view.features}
    assert {"last_year_h1", "last_year_h2", "cpi", "size", "is_holiday"} <= columns
    assert not columns & {"quarter", "weeks_since_last_sale", "cpi_is_missing", "is_easter"}
    assert service.tags == {
        "preset": "global",
        "feature_set_version": feature_set_version(FEATURES),
        "horizon_weeks": "2",
    }


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_network_of_a_preset_is_made_of_its_features_and_no_others(preset: str) -> None:
    used = [f for f in FEATURES.model_features if f.name in PRESET_FEATURES[preset]]

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
        *store.list_feature_services(),
    ]
    assert len(named) == 3 + 4 + len(PRESET_FEATURES)
    for each in named:
        assert each.owner == "shelfcast", each.name
        assert each.description, each.name
        assert each.tags, each.name
    for view in store.list_feature_views():
        assert all(field.description for field in view.features), view.name


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
    for view in FEATURES.view_columns:
        assert view in listed.stdout
