"""Our online store beside Feast's own, on a real PostgreSQL: the same rows by both, read by Feast's SDK."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import psycopg
import pytest
import uvicorn
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.feature_server import get_app
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Bytes, FeastType, Float32, Float64, Int32, Int64, String, UnixTimestamp
from psycopg.conninfo import conninfo_to_dict

from shelfcast.database import connect
from shelfcast.features.feast_repository import ONLINE_STORE

#: Type and field of Feast's protobuf of each feature.
FEATURES: dict[str, tuple[FeastType, str]] = {
    "double": (Float64, "double_val"),
    "single": (Float32, "float_val"),
    "whole": (Int64, "int64_val"),
    "small": (Int32, "int32_val"),
    "flag": (Bool, "bool_val"),
    "text": (String, "string_val"),
    "bytes": (Bytes, "bytes_val"),
    "time": (UnixTimestamp, "unix_timestamp_val"),
}
TYPES = {name: type_ for name, (type_, _) in FEATURES.items()}
REFS = [f"several:{name}" for name in FEATURES]
KEYS = {"week": String, "store": Int64}
START = datetime(2024, 1, 5, tzinfo=UTC)
PROJECTS = count()

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
Open = Callable[..., FeatureStore]


@pytest.fixture
def open_store(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a store with a table ``several`` of its own."""
    monkeypatch.setenv("PGTZ", "UTC")
    server = conninfo_to_dict(database_url)
    address = {name: server[name] for name in ("host", "port", "user", "password")}

    def open_(
        type_: str = ONLINE_STORE, types: dict[str, FeastType] = TYPES, project: str | None = None
    ) -> FeatureStore:
        online = {"type": type_, **address, "database": server["dbname"], "sslmode": "prefer"}
        config = RepoConfig(
            project=project or f"online_{next(PROJECTS)}",
            provider="local",
            registry=str(tmp_path / f"{next(PROJECTS)}.db"),
            entity_key_serialization_version=3,
            online_store={**online, "db_schema": "feast_online"},
        )
        store = FeatureStore(config=config)
        apply(store, types)
        return store

    return open_


def apply(store: FeatureStore, types: dict[str, FeastType], keys: dict[str, FeastType] = KEYS) -> None:
    entities = [Entity(name=name, value_type=ValueType[type_.name]) for name, type_ in keys.items()]
    source = FileSource(path="none", timestamp_field="event", created_timestamp_column="created")
    fields = [Field(name=name, dtype=type_) for name, type_ in {**keys, **types}.items()]
    view = FeatureView(name="several", entities=entities, schema=fields, source=source)
    store.apply([*entities, view])


def key(week: str, store: int) -> EntityKey:
    return EntityKey(
        join_keys=["week", "store"], entity_values=[Value(string_val=week), Value(int64_val=store)]
    )


def row(day: int = 0, created: int = 0, week: str = "w", store: int = 1, **values: Any) -> Row:
    """Returns a row of START + day, with these values."""
    protos = {name: Value(**{FEATURES[name][1]: value}) for name, value in values.items()}
    event, made = START + timedelta(days=day), START + timedelta(days=900 + created)
    return key(week, store), protos, event, made


def write(store: FeatureStore, rows: list[Row]) -> None:
    online = store._get_provider().online_store
    online.online_write_batch(store.config, store.get_feature_view("several"), rows, None)


def read(store: FeatureStore, *entities: tuple[str, int], refs: list[str] = REFS) -> dict[str, Any]:
    rows = [{"week": week, "store": number} for week, number in entities]
    return dict(store.get_online_features(refs, rows).to_dict())


def stored(url: str, store: FeatureStore, columns: str = "*") -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        query = f"select {columns} from feast_online.{store.project}_several order by week, store"
        return connection.execute(query).fetchall()


def random_rows(rng: np.random.Generator) -> list[Row]:
    """Returns rows of all types; a quarter of the values is unknown."""

    def some(value: Any, field: str) -> Value:
        return Value() if rng.random() < 0.25 else Value(**{field: value})

    def values() -> dict[str, Any]:
        doubles = [float(rng.normal(0, 1e6)) ** 3, 5e-324, -0.0, np.inf, -np.inf, 0.1 + 0.2]
        wholes = [int(rng.integers(-(2**63), 2**63)), -(2**63), 2**63 - 1, 2**53 + 1]
        texts = ["", "NULL", "\\N", 'a "quoted", text', "tab\tline\nreturn\r", "w\u00e9 \U0001f6d2", "\\"]
        return {
            "double": doubles[rng.integers(len(doubles))],
            "single": float(np.float32(rng.normal())),
            "whole": wholes[rng.integers(len(wholes))],
            "small": int(rng.integers(-(2**31), 2**31)),
            "flag": bool(rng.random() < 0.5),
            "text": texts[rng.integers(len(texts))],
            "bytes": rng.bytes(int(rng.integers(0, 5))),
            "time": int(rng.integers(-(2**33), 2**33)),
        }

    return [
        (key(week, number), {n: some(v, FEATURES[n][1]) for n, v in values().items()}, START, START)
        for week in ("w\u00e9", "", "2024-01-05")
        for number in (-(2**63), -1, *range(60))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_the_sdk_reads_what_it_reads_from_feasts_own_store(open_store: Open, seed: int) -> None:
    rows = random_rows(np.random.default_rng(seed))
    ours, feasts = open_store(), open_store("postgres")
    for store in (ours, feasts):
        write(store, rows)
    entities = [tuple(value_of(v) for v in keys.entity_values) for keys, *_ in reversed(rows)]
    entities += [("nowhere", 1), entities[0]]
    mine, theirs = (vectors(store, entities) for store in (ours, feasts))
    assert mine.keys() == theirs.keys() == {*KEYS, *FEATURES}
    for name, vector in mine.items():
        assert len(set(serialized(vector))) > 1, name
        assert serialized(vector) == serialized(theirs[name]), name
        assert list(vector.statuses) == list(theirs[name].statuses), name
        assert list(vector.event_timestamps) == list(theirs[name].event_timestamps), name


def vectors(store: FeatureStore, entities: list[tuple[Any, ...]]) -> dict[str, Any]:
    answer = store.get_online_features(REFS, entity_rows(entities)).proto
    return dict(zip(answer.metadata.feature_names.val, answer.results, strict=True))


def value_of(value: Value) -> Any:
    return getattr(value, value.WhichOneof("val"))


def entity_rows(entities: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(KEYS, entity, strict=True)) for entity in entities]


def serialized(vector: Any) -> list[bytes]:
    return [value.SerializeToString() for value in vector.values]


def test_some_features_of_some_entities_come_in_the_order_asked_for(open_store: Open) -> None:
    store = open_store()
    write(store, [row(store=n, double=n / 2, small=n) for n in range(5)])
    answer = read(store, ("w", 3), ("x", 3), ("w", 0), refs=["several:small", "several:double"])
    assert answer["small"] == [3, None, 0]
    assert answer["double"] == [1.5, None, 0.0]
    assert "whole" not in answer


@contextmanager
def feature_server(store: FeatureStore) -> Iterator[str]:
    config = uvicorn.Config(get_app(store), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the feature server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_the_feature_server_reads_what_the_sdk_reads(open_store: Open) -> None:
    store = open_store()
    write(
        store, [row(store=n, day=n, double=n / 3, whole=2**53 + n, text=f"{n}", flag=True) for n in range(3)]
    )
    refs = [f"several:{name}" for name in ("double", "whole", "text", "flag", "small")]
    entities = [("w", 2), ("x", 1), ("w", 0)]
    asked = {"features": refs, "entities": {"week": ["w", "x", "w"], "store": [2, 1, 0]}}
    body, headers = json.dumps(asked).encode(), {"content-type": "application/json"}
    with feature_server(store) as url:
        answer = json.load(urlopen(Request(f"{url}/get-online-features", body, headers)))
    names = answer["metadata"]["feature_names"]
    served = {name: vector["values"] for name, vector in zip(names, answer["results"], strict=True)}
    # Feast answers whole numbers as text.
    served["whole"] = [None if value is None else int(value) for value in served["whole"]]
    assert served == read(store, *entities, refs=refs)
    assert served["double"] == [2 / 3, None, 0.0]


def test_nan_is_unknown(open_store: Open, database_url: str) -> None:
    store = open_store()
    write(store, [row(double=float("nan"), single=float("nan"), small=1)])
    assert stored(database_url, store, "double, single, small") == [(None, None, 1)]


def test_a_row_never_goes_back_to_an_older_event_time(open_store: Open) -> None:
    store = open_store()
    write(store, [row(day=5, small=5), row(day=7, small=7), row(day=6, small=6)])
    assert read(store, ("w", 1))["small"] == [7]
    write(store, [row(day=6, small=60), row(day=6, store=2, small=61)])
    assert read(store, ("w", 1), ("w", 2))["small"] == [7, 61]
    write(store, [row(day=7, small=70), row(day=7, small=71)])
    assert read(store, ("w", 1))["small"] == [71]


def test_a_row_that_is_as_it_should_be_is_not_touched(open_store: Open, database_url: str) -> None:
    store = open_store()
    first = [row(store=n, double=0.0, text="a", flag=None) for n in range(4)]
    write(store, first)
    before = stored(database_url, store, "xmin::text, created_ts, event_ts")
    again = [row(created=1, store=n, double=0.0, text="a", flag=None) for n in range(4)]
    again[1][1]["double"].double_val = -0.0
    again[2][1]["text"].string_val = "A"
    again[3] = row(day=1, created=1, store=3, double=0.0, text="a", flag=None)
    write(store, again)
    after = stored(database_url, store, "xmin::text, created_ts, event_ts")
    assert [old != new for old, new in zip(before, after, strict=True)] == [False, True, True, True]
    assert [new[1] for new in after] == [before[0][1], *[again[1][3]] * 3]


def test_features_that_a_row_does_not_have_stay(open_store: Open) -> None:
    store = open_store()
    write(store, [row(small=1, text="one")])
    write(store, [row(day=1, small=2), row(day=1, store=2, small=3)])
    answer = read(store, ("w", 1), ("w", 2))
    assert (answer["small"], answer["text"]) == ([2, 3], ["one", None])


def test_no_rows_are_no_change(open_store: Open) -> None:
    store = open_store()
    write(store, [row(small=1)])
    write(store, [])
    assert read(store, ("w", 1))["small"] == [1]


def test_a_write_that_fails_leaves_the_rows_as_they_were_and_the_store_usable(
    open_store: Open, database_url: str
) -> None:
    store = open_store()
    write(store, [row(store=n, small=1) for n in range(5)])
    table = f"feast_online.{store.project}_several"
    with connect(database_url) as connection:
        connection.execute(f"alter table {table} add constraint refuse check (small < 9)")
    changed = [row(store=n, day=1, small=5 + n) for n in range(5)]
    with pytest.raises(psycopg.errors.CheckViolation):
        write(store, changed)
    assert stored(database_url, store, "small") == [(1,)] * 5
    write(store, changed[:4])
    assert stored(database_url, store, "small") == [(5,), (6,), (7,), (8,), (1,)]


def test_a_broken_connection_is_replaced(open_store: Open, database_url: str) -> None:
    store = open_store()
    write(store, [row(small=1)])
    pid = store._get_provider().online_store._connection.info.backend_pid
    with connect(database_url) as connection:
        connection.execute("select pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(psycopg.OperationalError):
        read(store, ("w", 1))
    assert read(store, ("w", 1))["small"] == [1]


def test_a_change_of_the_view_changes_its_columns_and_keeps_the_others(
    open_store: Open, database_url: str
) -> None:
    store = open_store(types={"small": Int32, "text": String, "flag": Bool})
    write(store, [row(small=1, text="one", flag=True)])
    changed = {"small": Int32, "text": Float64, "double": Float64}
    apply(store, changed)
    assert read(store, ("w", 1), refs=[f"several:{name}" for name in changed]) == {
        "week": ["w"],
        "store": [1],
        "small": [1],
        "text": [None],
        "double": [None],
    }
    xmin = stored(database_url, store, "xmin")
    apply(store, changed)
    assert stored(database_url, store, "xmin") == xmin


def test_other_join_keys_make_the_table_anew(open_store: Open, database_url: str) -> None:
    store = open_store(types={"small": Int32})
    write(store, [row(small=1)])
    apply(store, {"small": Int32}, {"week": String, "store": String})
    assert stored(database_url, store) == []


def test_a_table_of_feasts_layout_is_made_anew(open_store: Open, database_url: str) -> None:
    feasts = open_store("postgres")
    write(feasts, [row(small=1)])
    ours = open_store(project=feasts.project)
    write(ours, [row(small=2)])
    assert stored(database_url, ours, "week, store, small") == [("w", 1, 2)]


def test_a_view_that_is_deleted_and_a_store_that_is_torn_down_leave_no_table(
    open_store: Open, database_url: str
) -> None:
    deleted, torn_down = open_store(), open_store()
    deleted.apply([], objects_to_delete=[deleted.get_feature_view("several")], partial=False)
    torn_down.teardown()
    for store in (deleted, torn_down):
        with pytest.raises(psycopg.errors.UndefinedTable):
            stored(database_url, store)


def test_a_type_without_a_column_type_is_refused(open_store: Open) -> None:
    with pytest.raises(NotImplementedError, match=r"numbers is of Feast's type .* use one of DOUBLE, FLOAT"):
        open_store(types={"numbers": Array(Float64)})
