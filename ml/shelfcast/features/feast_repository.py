"""What Feast knows of a data set: its entities, feature views and feature service, and where they are kept.

Feast's registry, offline and online store are schemas of one PostgreSQL database; a data set is a Feast
project.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, Int64
from psycopg.conninfo import conninfo_to_dict

from shelfcast.features.definitions import HORIZON_FEATURES, FeatureSet, View
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS, table_name
from shelfcast.job import UserError

OWNER = "shelfcast"
#: Classes that Feast loads by name; docs/decisions/0017 tells why they are not Feast's own.
ONLINE_STORE = "shelfcast.features.online_store.CopyPostgreSQLOnlineStore"
BATCH_ENGINE = "shelfcast.features.ray_engine.ArrowRayComputeEngine"

ENTITY_DESCRIPTIONS = {
    "store": "Number of a store",
    "dept": "Number of a department, the same in all stores",
    "week": "Last day of a target week, ISO date",
}
VIEW_DESCRIPTIONS: dict[View, str] = {
    "sales_history": "What past sales tell at an origin week about a series; US dollars a week and ratios",
    "store_externals": "Weather, prices, economy and promotions of a store in an origin week",
    "store_attributes": "Type (1 is A) and size in square feet of a store",
    "calendar": "Holidays and season of a target week; follows from dates alone",
}


def open_store(project: str, database_url: str) -> FeatureStore:
    """Returns Feast's store of a project; its engine uses the Ray that this process is connected to.

    Raises:
        UserError: The database's sessions are not in UTC.
    """
    _require_utc(database_url)
    return FeatureStore(config=RepoConfig(**settings(project, database_url)))


def settings(project: str, database_url: str) -> dict[str, Any]:
    """Returns Feast's configuration of a project, as its ``feature_store.yaml`` would hold it."""
    server = conninfo_to_dict(database_url)
    address = {
        "type": "postgres",
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
        "offline_store": {**address, "db_schema": "feast_offline"},
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
        )
        for name, description in ENTITY_DESCRIPTIONS.items()
    }


def feature_views(project: str, features: FeatureSet) -> list[FeatureView]:
    """Returns the views of a project.

    They have no time to live: the engine measures it against the clock, and would leave out all of a data set
    that ended last year. The predictor refuses old rows by the watermark instead.
    """
    by_key = entities()
    return [
        FeatureView(
            name=view,
            entities=[by_key[key] for key in JOIN_KEYS[view]],
            schema=[_field(view, column) for column in columns],
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
            tags={"horizon_weeks": str(features.horizon_weeks)} if view == "sales_history" else {},
        )
        for view, columns in features.view_columns.items()
    ]


def register_views(store: FeatureStore, features: FeatureSet) -> bool:
    """Registers entities and views and makes the online tables, unless this version is in use already.

    The service of a version is there only while the views are of that version and its rows are online: other
    services go before the views change, and ``register_service`` comes after materialization. An interrupted
    change is so made again.

    Returns:
        Whether the definitions changed.
    """
    services = [service.name for service in store.list_feature_services()]
    if services == [service_name(features.version)]:
        return False
    for name in services:
        store.delete_feature_service(name)
    store.apply([*entities().values(), *feature_views(store.project, features)])
    return True


def register_service(store: FeatureStore, features: FeatureSet) -> None:
    """Registers the service of a version; see ``register_views``."""
    service = feature_service(features.version, feature_views(store.project, features))
    store.registry.apply_feature_service(service, store.project)


def feature_service(version: str, views: list[FeatureView]) -> FeatureService:
    """Returns the service that names all features a model of this feature set version may use."""
    return FeatureService(
        name=service_name(version),
        features=views,
        description=f"All that a model of the feature set {version} may use",
        owner=OWNER,
        tags={"feature_set_version": version},
    )


def service_name(version: str) -> str:
    """Returns the name of the service of a feature set version."""
    return f"features_{version}"


def _field(view: View, column: str) -> Field:
    name, _, weeks = column.rpartition("_h")
    description = f"{HORIZON_FEATURES[name]}, w = origin + {weeks} weeks" if name in HORIZON_FEATURES else ""
    return Field(name=column, dtype=Int64 if view == "calendar" else Float64, description=description)
