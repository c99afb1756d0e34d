"""Feast repository of a data set: configuration, entities, feature views and feature services.

A data set is a Feast project. Registry, offline store and online store are schemas of one PostgreSQL
database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, Int64
from psycopg.conninfo import conninfo_to_dict

from shelfcast.contracts.model import View
from shelfcast.database import check_address
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS, table_name
from shelfcast.features.preset_features import PRESET_FEATURES, preset_features
from shelfcast.features.version import feature_set_version
from shelfcast.job import UserError

OWNER = "shelfcast"
#: Classes that Feast loads by name; docs/decisions/0019 says why they replace Feast's own.
OFFLINE_STORE = "shelfcast.features.offline_store.PostgreSQLOfflineStore"
ONLINE_STORE = "shelfcast.features.online_store.WidePostgreSQLOnlineStore"
BATCH_ENGINE = "shelfcast.features.sql_engine.PostgreSQLComputeEngine"

ENTITY_DESCRIPTIONS = {
    "store": "Number of a store",
    "dept": "Number of a department, the same in all stores",
    "week": "Last day of a target week, ISO date",
}
VIEW_DESCRIPTIONS: dict[View, str] = {
    "sales_history": "Past sales of a series, as known at an origin week; US dollars per week and ratios",
    "store_externals": "Weather, prices, economy and promotions of a store, as known at an origin week",
    "store_attributes": "Type (1 is A) and size in square feet of a store",
    "calendar": "Holidays and season of a target week; follows from dates alone",
}


@contextmanager
def open_store(project: str, database_url: str) -> Iterator[FeatureStore]:
    """Opens Feast's store of a project; closes its connections at the end of the block.

    Raises:
        UserError: The address cannot be used, or the database's sessions are not in UTC.
    """
    config = settings(project, database_url)
    _require_utc(database_url)
    store = FeatureStore(config=RepoConfig(**config))
    # Else each change of a definition reads all definitions of all projects again. As a setting, the mode
    # would start a thread that does so.
    store.registry.cache_mode = "thread"
    try:
        yield store
    finally:
        # Feast itself never closes them.
        store.provider.online_store.close()
        store.registry.write_engine.dispose()


def settings(project: str, database_url: str) -> dict[str, Any]:
    """Returns Feast's configuration of a project, as its ``feature_store.yaml`` would hold it.

    Raises:
        UserError: ``InvalidInput``: the address cannot be used.
    """
    check_address(database_url)
    server = conninfo_to_dict(database_url)
    address = {
        "host": server["host"],
        "port": server.get("port", 5432),
        "database": server["dbname"],
        "user": server["user"],
        "password": server.get("password", ""),
        # Feast's own default is to require TLS; this is PostgreSQL's.
        "sslmode": server.get("sslmode", "prefer"),
        **{f"{name}_path": server[name] for name in ("sslrootcert", "sslcert", "sslkey") if name in server},
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
    """Feast writes UTC times without a zone, and PostgreSQL reads them in the session's zone."""
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

    The views have no time to live: the engine measures it against the clock and would leave out all rows of a
    data set that ended last year. The predictor refuses old rows by the watermark instead.
    """
    by_key = entities()
    fields = _fields(features)
    tags = _tags(features)
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
            tags=tags,
        )
        for view, columns in features.view_columns.items()
    ]


def register_views(store: FeatureStore, features: FeatureSet) -> bool:
    """Registers entities and views and creates the online tables, unless this version is registered already.

    The feature services of a version exist only while the views have that version and its rows are online.
    So other services are deleted before the views change, and ``register_services`` runs after the
    materialization: a run that was interrupted in between registers the views again.

    Returns:
        Whether the definitions changed.
    """
    services = [service.name for service in store.list_feature_services()]
    version = feature_set_version(features)
    if sorted(services) == sorted(service_name(version, preset) for preset in PRESET_FEATURES):
        return False
    for name in services:
        store.delete_feature_service(name)
    views = feature_views(store.project, features)
    store.apply([*entities().values(), *views])
    return True


def register_services(store: FeatureStore, features: FeatureSet) -> None:
    """Registers the feature services of a version; see ``register_views``."""
    views = feature_views(store.project, features)
    for preset in PRESET_FEATURES:
        store.registry.apply_feature_service(feature_service(preset, features, views), store.project)


def feature_service(preset: str, features: FeatureSet, views: list[FeatureView]) -> FeatureService:
    """Returns the feature service of a preset: the features that its models use.

    Args:
        preset: Name of the preset.
        features: Features of the data set.
        views: Views as ``feature_views`` returns them.
    """
    used: dict[str, list[str]] = {}
    for feature in preset_features(preset, features):
        used.setdefault(feature.view, []).extend(feature.columns(features.horizon_weeks))
    tags = _tags(features)
    version = tags["feature_set_version"]
    return FeatureService(
        name=service_name(version, preset),
        features=[view[used[view.name]] for view in views if view.name in used],
        description=f"Features of models of the preset {preset}, feature set version {version}",
        owner=OWNER,
        tags={"preset": preset, **tags},
    )


def service_name(version: str, preset: str) -> str:
    """Returns the name of the service of a preset and a feature set version."""
    return f"{preset}_{version}"


def _tags(features: FeatureSet) -> dict[str, str]:
    return {
        "feature_set_version": feature_set_version(features),
        "horizon_weeks": str(features.horizon_weeks),
    }


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
