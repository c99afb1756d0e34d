"""What Feast knows of a data set: its entities, feature views and feature services, and where they are kept.

Feast's registry, offline and online store are schemas of one PostgreSQL database; a data set is a Feast
project.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.base_feature_view import BaseFeatureView
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.transformation.pandas_transformation import PandasTransformation
from feast.types import Float64, Int64
from psycopg.conninfo import conninfo_to_dict

from shelfcast.features.definitions import FeatureSet, View
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS, table_name
from shelfcast.features.on_demand import FORMULAS, ON_DEMAND, ON_DEMAND_SOURCES
from shelfcast.features.presets import PRESETS, preset_features
from shelfcast.job import UserError

OWNER = "shelfcast"
#: Classes that Feast loads by name; they and docs/decisions/0019 tell why they are not Feast's own.
OFFLINE_STORE = "shelfcast.features.offline_store.PostgreSQLOfflineStore"
ONLINE_STORE = "shelfcast.features.online_store.WidePostgreSQLOnlineStore"
BATCH_ENGINE = "shelfcast.features.sql_engine.PostgreSQLComputeEngine"

ENTITY_DESCRIPTIONS = {
    "store": "Number of a store",
    "dept": "Number of a department, the same in all stores",
    "week": "Last day of a target week, ISO date",
}
VIEW_DESCRIPTIONS: dict[View, str] = {
    "sales_history": "What past sales tell at an origin week about a series; US dollars a week and ratios",
    "store_externals": "Weather, prices, economy and promotions of a store, as known at an origin week",
    "store_attributes": "Type (1 is A) and size in square feet of a store",
    "calendar": "Holidays and season of a target week; follows from dates alone",
}


def open_store(project: str, database_url: str) -> FeatureStore:
    """Returns Feast's store of a project.

    Raises:
        UserError: The database's sessions are not in UTC.
    """
    _require_utc(database_url)
    return FeatureStore(config=RepoConfig(**settings(project, database_url)))


def settings(project: str, database_url: str) -> dict[str, Any]:
    """Returns Feast's configuration of a project, as its ``feature_store.yaml`` would hold it."""
    server = conninfo_to_dict(database_url)
    address = {
        "host": server["host"],
        "port": server.get("port", 5432),
        "database": server["dbname"],
        "user": server["user"],
        "password": server.get("password", ""),
        # Feast's own default is to require TLS; this is PostgreSQL's.
        "sslmode": server.get("sslmode", "prefer"),
    }
    return {
        "project": project,
        "provider": "local",
        "entity_key_serialization_version": 3,
        "registry": {"registry_type": "sql", "path": _registry_url(database_url)},
        "offline_store": {**address, "type": OFFLINE_STORE, "db_schema": "feast_offline"},
        "online_store": {**address, "type": ONLINE_STORE, "db_schema": "feast_online"},
        "batch_engine": {"type": BATCH_ENGINE},
    }


def _require_utc(database_url: str) -> None:
    """Feast writes UTC without saying so, and PostgreSQL takes it for the session's own time."""
    with psycopg.connect(database_url) as connection:
        zone = connection.info.parameter_status("TimeZone")
    if zone not in ("UTC", "Etc/UTC"):
        raise UserError(
            "InvalidInput",
            f"the time zone of the database of DATABASE_URL is {zone}; set it with: "
            "alter database <name> set timezone to 'UTC'",
        )


def _registry_url(database_url: str) -> str:
    _, rest = database_url.split("://", 1)
    separator = "&" if "?" in rest else "?"
    return f"postgresql+psycopg://{rest}{separator}options={quote('-csearch_path=feast_registry')}"


def entities() -> dict[str, Entity]:
    """Returns the entities by join key."""
    return {
        name: Entity(
            name=name,
            join_keys=[name],
            value_type=ValueType.STRING if name == "week" else ValueType.INT64,
            description=description,
            owner=OWNER,
            tags={"domain": "sales"},
        )
        for name, description in ENTITY_DESCRIPTIONS.items()
    }


def feature_views(project: str, features: FeatureSet) -> list[FeatureView]:
    """Returns the views of a project.

    They have no time to live: the engine measures it against the clock, and would leave out all of a data set
    that ended last year. The predictor refuses old rows by the watermark instead.
    """
    by_key = entities()
    fields = _fields(features)
    return [
        FeatureView(
            name=view,
            entities=[by_key[key] for key in JOIN_KEYS[view]],
            schema=[fields[view, column] for column in columns],
            source=PostgreSQLSource(
                name=view,
                table=f"feast_offline.{table_name(project, view)}",
                timestamp_field=EVENT,
                created_timestamp_column=CREATED,
                owner=OWNER,
            ),
            ttl=timedelta(0),
            description=VIEW_DESCRIPTIONS[view],
            owner=OWNER,
            tags=_tags(features),
        )
        for view, columns in features.view_columns.items()
    ]


def on_demand_views(views: list[FeatureView], features: FeatureSet) -> list[OnDemandFeatureView]:
    """Returns the views that Feast computes from features of these when they are asked for."""
    by_name: Mapping[str, BaseFeatureView] = {view.name: view for view in views}
    return [
        OnDemandFeatureView(
            name=name,
            sources=[by_name[view][list(columns)] for view, columns in ON_DEMAND_SOURCES[name].items()],
            # Feast refuses a field with a description here: what it infers from the function has none.
            schema=[Field(name=feature, dtype=Float64) for feature in descriptions],
            # Feast's decorator would move the function to another module.
            feature_transformation=PandasTransformation(FORMULAS[name], inspect.getsource(FORMULAS[name])),
            mode="pandas",
            description="; ".join(f"{feature}: {text}" for feature, text in descriptions.items()),
            owner=OWNER,
            tags=_tags(features),
        )
        for name, descriptions in ON_DEMAND.items()
    ]


def register_views(store: FeatureStore, features: FeatureSet) -> bool:
    """Registers entities and views and makes the online tables, unless this version is in use already.

    The services of a version are there only while the views are of that version and its rows are online:
    other services go before the views change, and ``register_services`` comes after materialization. An
    interrupted change is so made again.

    Returns:
        Whether the definitions changed.
    """
    services = [service.name for service in store.list_feature_services()]
    if sorted(services) == sorted(service_name(features.version, preset) for preset in PRESETS):
        return False
    for name in services:
        store.delete_feature_service(name)
    views = feature_views(store.project, features)
    store.apply([*entities().values(), *views, *on_demand_views(views, features)])
    return True


def register_services(store: FeatureStore, features: FeatureSet) -> None:
    """Registers the services of a version; see ``register_views``."""
    views = feature_views(store.project, features)
    for preset in PRESETS:
        store.registry.apply_feature_service(feature_service(preset, features, views), store.project)


def feature_service(preset: str, features: FeatureSet, views: list[FeatureView]) -> FeatureService:
    """Returns the service that names the features that a model of the preset uses.

    Args:
        preset: Of the model.
        features: Of the data set.
        views: As ``feature_views`` returns them.
    """
    used: dict[str, list[str]] = {}
    for feature in preset_features(preset, features):
        used.setdefault(feature.view, []).extend(feature.columns(features.horizon_weeks))
    return FeatureService(
        name=service_name(features.version, preset),
        features=[view[used[view.name]] for view in views if view.name in used],
        description=f"What a model of the preset {preset} and the feature set {features.version} uses",
        owner=OWNER,
        tags={"preset": preset, **_tags(features)},
    )


def service_name(version: str, preset: str) -> str:
    """Returns the name of the service of a preset and a feature set version."""
    return f"{preset}_{version}"


def _tags(features: FeatureSet) -> dict[str, str]:
    return {"feature_set_version": features.version, "horizon_weeks": str(features.horizon_weeks)}


def _fields(features: FeatureSet) -> dict[tuple[View, str], Field]:
    """Returns the fields by view and column."""
    return {
        (feature.view, column): Field(
            name=column,
            dtype=Int64 if feature.view == "calendar" else Float64,
            description=feature.description + (f", w = t + {h} weeks" if feature.ahead else ""),
        )
        for feature in features.features
        for h, column in enumerate(feature.columns(features.horizon_weeks), 1)
    }
