"""The features job on a real Ray, a real PostgreSQL and Feast itself."""

import json
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, RepoConfig
from feature_samples import Externals, Sales, random_externals, tables_of, week
from psycopg import sql
from raw_batches import add_batch

from shelfcast.contracts.specs import FeaturesSpec
from shelfcast.contracts.wire import decode, encode
from shelfcast.database import connect
from shelfcast.features import cluster, feast_repository, materialization
from shelfcast.features.build import build_features
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.materialization import Window
from shelfcast.features.offline_tables import JOIN_KEYS, table_name
from shelfcast.features.preset_features import PRESET_FEATURES
from shelfcast.features.version import feature_set_version
from shelfcast.ids import read_ids_file
from shelfcast.job import UserError

HORIZON = 2
FEATURES = FeatureSet(HORIZON)
WEEKS = 60
#: The series (3, 2) ends before the others.
ENDED = (3, 2, 40)

#: Store 4 is described and sells nothing: its departments have an estimated history.
ESTIMATED = {(4, 1), (4, 2)}


def small_snapshot() -> tuple[Sales, Externals]:
    rng = np.random.default_rng(2)
    keys = [(s, d, n) for s in (1, 2, 3) for d in (1, 2) for n in range(WEEKS)]
    kept = [key for key in keys if key <= ENDED or key[:2] != ENDED[:2]]
    return {key: round(float(rng.gamma(2, 300)), 2) for key in kept}, random_externals(rng, WEEKS)


def run(snapshot: dict[str, Any], folder: Path, horizon_weeks: int = HORIZON) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    spec = decode(FeaturesSpec, spec_of(snapshot, horizon_weeks), "spec")
    return encode(build_features(spec, folder))  # type: ignore[no-any-return]


def spec_of(snapshot: dict[str, Any], horizon_weeks: int = HORIZON) -> dict[str, Any]:
    project = f"shelfcast_{snapshot['dataset']}"
    return {"snapshot": snapshot, "feastProject": project, "horizonWeeks": horizon_weeks}


def query(url: str, statement: str, schema: str, project: str, view: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        table = sql.Identifier(schema, table_name(project, view))
        keys = sql.SQL(", ").join(map(sql.Identifier, JOIN_KEYS[view]))
        return connection.execute(sql.SQL(statement).format(table=table, keys=keys)).fetchall()


def online_rows(url: str, project: str) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all that is online, but for when it was written."""
    statement = "select to_jsonb(online) - 'created_ts' from {table} online order by {keys}"
    return {view: query(url, statement, "feast_online", project, view) for view in FEATURES.view_columns}


def offline_counts(url: str, project: str) -> list[Any]:
    statement = "select count(*) from {table}"
    return [query(url, statement, "feast_offline", project, view) for view in FEATURES.view_columns]


def watermark(url: str, project: str) -> tuple[date, str] | None:
    with connect(url) as connection:
        return connection.execute(
            "select watermark, snapshot_id from ops.feature_watermark where feast_project = %s", [project]
        ).fetchone()


def newest_offline(url: str, project: str, view: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Returns the newest row of each entity, by its join keys."""
    statement = "select distinct on ({keys}) * from {table} order by {keys}, event_timestamp desc"
    width = len(JOIN_KEYS[view])
    names = [*JOIN_KEYS[view], "event_timestamp", "created", *FEATURES.view_columns[view]]
    rows = query(url, statement, "feast_offline", project, view)
    return {row[:width]: dict(zip(names, row, strict=True)) for row in rows}


def assert_online_is_the_newest_offline(url: str, project: str, version: str) -> None:
    """Reads every series through Feast's SDK, and compares each value and event time."""
    newest = {view: newest_offline(url, project, view) for view in FEATURES.view_columns}
    names = [f"{view}:{column}" for view, columns in FEATURES.view_columns.items() for column in columns]
    some_week = next(iter(newest["calendar"]))[0]
    keys = [{"store": s, "dept": d, "week": some_week} for s, d in newest["sales_history"]]
    keys += [{**keys[0], "week": w} for (w,) in newest["calendar"]]
    with feast_repository.open_store(project, url) as store:
        assert store.get_feature_service(feast_repository.service_name(version, "global"))
        answer = store.get_online_features(features=names, entity_rows=keys).to_dict()
    for place, key in enumerate(keys):
        for view, columns in FEATURES.view_columns.items():
            row = newest[view][tuple(key[name] for name in JOIN_KEYS[view])]
            assert {c: answer[c][place] for c in columns} == {c: row[c] for c in columns}, (view, key)
    for view in FEATURES.view_columns:
        rows = query(url, "select {keys}, event_ts from {table}", "feast_online", project, view)
        assert {row[:-1]: row[-1] for row in rows} == {
            key: row["event_timestamp"] for key, row in newest[view].items()
        }


def assert_offline_is_the_training_data(url: str, project: str, folder: Path) -> None:
    """Compares all rows of ``sales_history``, exactly."""
    columns = FEATURES.view_columns["sales_history"]
    statement = "select * from {table} order by {keys}, event_timestamp"
    offline = query(url, statement, "feast_offline", project, "sales_history")
    assert len({row[3] for row in offline}) == 1, "all rows are of one replacement"
    files = pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("series-*.parquet")))
    rows = files.sort_by([("store", "ascending"), ("dept", "ascending"), ("origin", "ascending")])
    assert [(*row[:2], row[2].date(), *row[4:]) for row in offline] == [
        tuple(row.values()) for row in rows.select(["store", "dept", "origin", *columns]).to_pylist()
    ]


def test_what_is_online_is_the_newest_offline_row(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CELLS_PER_TASK", 200)
    snapshot = add_batch(url, "job_first", tables_of(*small_snapshot()))
    project = "shelfcast_job_first"
    with connect(url) as connection:
        connection.execute(
            """
            insert into raw.id select 'job_first', of, id, number, true, %(batch)s
            from (values ('store', 'CA_1', 1), ('type', 'mall', 30)) as ids (of, id, number)
            """,
            {"batch": snapshot["batchId"]},
        )
        connection.execute(
            """
            update raw.store set size = null, type = case store when 1 then 'mall' end
            where batch_id = %(batch)s and store < 3
            """,
            {"batch": snapshot["batchId"]},
        )
    result = run(snapshot, tmp_path / "first")
    assert result == {
        "featureSetVersion": feature_set_version(FEATURES),
        "trainingDataUri": (tmp_path / "first").as_uri(),
        "offlineRows": len(small_snapshot()[0]) + len(ESTIMATED),
        "onlineEntities": 6 + len(ESTIMATED),
        "windowStart": week(0).isoformat(),
        "windowEnd": week(WEEKS - 1).isoformat(),
        "skewSampleUri": (tmp_path / "first" / "skew-sample.json").as_uri(),
    }
    assert_online_is_the_newest_offline(url, project, result["featureSetVersion"])
    assert_offline_is_the_training_data(url, project, tmp_path / "first")
    attributes = query(
        url,
        "select store, type_code, size is null from {table} order by 1",
        "feast_online",
        project,
        "store_attributes",
    )
    assert [row[:3] for row in attributes[:2]] == [(1, 30, True), (2, None, True)]
    assert read_ids_file(tmp_path / "first").series(1, 2) == "store CA_1, dept 2"
    assert watermark(url, project) == (week(WEEKS - 1), snapshot["id"])
    times = query(url, "select distinct event_ts from {table}", "feast_online", project, "sales_history")
    assert {row[0].date() for row in times} == {week(WEEKS - 1), week(ENDED[2])}


def test_a_repeated_run_adds_nothing(url: str, tmp_path: Path) -> None:
    snapshot = add_batch(url, "job_again", tables_of(*small_snapshot()))
    project = "shelfcast_job_again"
    first = run(snapshot, tmp_path / "first")
    online, offline = online_rows(url, project), offline_counts(url, project)
    again = run(snapshot, tmp_path / "again")
    assert again["windowStart"] == again["windowEnd"] == week(WEEKS - 1).isoformat()
    assert again["offlineRows"] == first["offlineRows"]
    assert online_rows(url, project) == online
    assert offline_counts(url, project) == offline


def test_a_run_closes_its_connections(url: str, tmp_path: Path) -> None:
    snapshot = add_batch(url, "job_close", tables_of(*small_snapshot()))
    before = sessions(url)
    run(snapshot, tmp_path)
    with feast_repository.open_store("shelfcast_job_close", url) as store:
        store.get_online_features(["sales_history:lag_1"], [{"store": 1, "dept": 1}])
        assert len(sessions(url) - before) >= 2, "one of the registry and one of the online store"
    deadline = time.monotonic() + 30
    while sessions(url) - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def sessions(url: str) -> set[int]:
    """Processes of PostgreSQL that serve other clients."""
    with connect(url) as connection:
        rows = connection.execute(
            "select pid from pg_stat_activity "
            "where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        return {row[0] for row in rows}


@pytest.mark.parametrize("engine", ["local", "ray.engine"])
def test_feasts_own_engines_write_the_same_by_our_store(url: str, tmp_path: Path, engine: str) -> None:
    dataset = f"job_{engine.replace('.', '_')}"
    run(add_batch(url, dataset, tables_of(*small_snapshot())), tmp_path / "run")
    project = f"shelfcast_{dataset}"
    online = online_rows(url, project)
    for view in online:
        with connect(url) as connection:
            connection.execute(f"delete from feast_online.{table_name(project, view)}")
    settings = feast_repository.settings(project, url)
    settings |= {"batch_engine": {"type": engine}, "materialization": {"pull_latest_features": True}}
    store = FeatureStore(config=RepoConfig(**settings))
    materialization.materialize(store, Window(week(0), week(WEEKS - 1)))
    assert online_rows(url, project) == online


def test_an_estimate_is_of_the_newest_week_and_gives_way_to_sales(url: str, tmp_path: Path) -> None:
    project, sales = "shelfcast_job_cold", small_snapshot()[0]
    statement = (
        "select {keys}, event_timestamp::date from {table} where weeks_since_first is null order by 1, 2"
    )
    first = add_batch(url, "job_cold", tables_of(*small_snapshot()))
    run(first, tmp_path / "first")
    rows = query(url, statement, "feast_offline", project, "sales_history")
    assert rows == [(*key, week(WEEKS - 1)) for key in sorted(ESTIMATED)]
    # The first sale may also come late, for an earlier week than that of the estimate.
    new = {(s, d, WEEKS): 77.0 for s, d, n in sales if n == WEEKS - 1}
    second = add_batch(url, "job_cold", tables_of(new | {(4, 1, WEEKS - 3): 50.0}, {}))
    version = run(second, tmp_path / "second")["featureSetVersion"]
    assert_online_is_the_newest_offline(url, project, version)
    rows = query(url, statement, "feast_offline", project, "sales_history")
    # A store that reports late has no estimate.
    assert rows == []
    newest = newest_offline(url, project, "sales_history")
    assert newest[4, 1]["event_timestamp"].date() == week(WEEKS - 3)
    assert (4, 2) not in newest


def test_new_weeks_and_late_corrections_come_online_and_an_ended_series_stays(
    url: str, tmp_path: Path
) -> None:
    sales, externals = small_snapshot()
    first = add_batch(url, "job_week", tables_of(sales, externals))
    run(first, tmp_path / "first")
    new = {(s, d, WEEKS): 77.0 for s, d, n in sales if n == WEEKS - 1 and (s, d) != (2, 2)}
    second = add_batch(url, "job_week", tables_of(new | {(1, 1, WEEKS - 1): 4444.0}, {}))
    result = run(second, tmp_path / "second")
    project = "shelfcast_job_week"
    assert result["windowStart"] == week(WEEKS - 1).isoformat()
    assert result["windowEnd"] == week(WEEKS).isoformat()
    assert result["onlineEntities"] == 5 + len(ESTIMATED)
    assert_online_is_the_newest_offline(url, project, result["featureSetVersion"])
    newest = newest_offline(url, project, "sales_history")
    assert newest[1, 1]["lag_1"] == 4444
    assert newest[2, 2]["event_timestamp"].date() == week(WEEKS - 1)
    assert newest[3, 2]["event_timestamp"].date() == week(ENDED[2])
    assert watermark(url, project) == (week(WEEKS), second["id"])


def test_other_definitions_are_registered_and_all_rows_materialized(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = add_batch(url, "job_change", tables_of(*small_snapshot()))
    project = "shelfcast_job_change"
    run(snapshot, tmp_path / "one", horizon_weeks=1)
    with feast_repository.open_store(project, url) as store:
        columns = {field.name for field in store.get_feature_view("sales_history").features}
    assert "last_year_h1" in columns
    assert "last_year_h2" not in columns
    with monkeypatch.context() as interrupted:
        interrupted.setattr(
            materialization, "materialize", lambda *_: (_ for _ in ()).throw(InterruptedError)
        )
        with pytest.raises(InterruptedError):
            run(snapshot, tmp_path / "two", horizon_weeks=2)
    result = run(snapshot, tmp_path / "two", horizon_weeks=2)
    assert result["windowStart"] == week(0).isoformat()
    with feast_repository.open_store(project, url) as store:
        services = sorted(service.name for service in store.list_feature_services())
    assert services == [f"{preset}_{result['featureSetVersion']}" for preset in sorted(PRESET_FEATURES)]
    assert_online_is_the_newest_offline(url, project, result["featureSetVersion"])


def test_a_killed_job_keeps_the_watermark_and_the_next_one_puts_all_right(url: str, tmp_path: Path) -> None:
    sales, externals = small_snapshot()
    first = add_batch(url, "job_kill", tables_of(sales, externals))
    project = "shelfcast_job_kill"
    run(first, tmp_path / "first")
    changed = {(s, d, n): v + 1 for (s, d, n), v in sales.items() if n >= 30}
    second = add_batch(url, "job_kill", tables_of(changed, externals))
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(spec_of(second)))
    before = online_rows(url, project)
    command = [sys.executable, "-m", "shelfcast.features", "--dir", folder.as_uri()]
    # Views are written in any order, the watermark after them: the job will have written sales, and wait.
    with connect(url) as other:
        other.execute("lock table ops.feature_watermark in share mode")
        deadline = time.monotonic() + 120
        with subprocess.Popen(command) as process:
            while online_rows(url, project)["sales_history"] == before["sales_history"]:
                assert process.poll() is None, "the job ended before it was killed"
                if time.monotonic() > deadline:
                    process.kill()
                    pytest.fail("no sales came online")
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    assert watermark(url, project) == (week(WEEKS - 1), first["id"])

    result = run(second, tmp_path / "second")
    assert_online_is_the_newest_offline(url, project, result["featureSetVersion"])
    assert watermark(url, project) == (week(WEEKS - 1), second["id"])
    # As if there had been one run of all rows.
    run(add_batch(url, "job_whole", tables_of(sales | changed, externals)), tmp_path / "whole")
    assert online_rows(url, project) == online_rows(url, "shelfcast_job_whole")


def test_a_write_that_fails_fails_the_job(url: str, tmp_path: Path) -> None:
    sales, externals = small_snapshot()
    first = add_batch(url, "job_fail", tables_of(sales, externals))
    run(first, tmp_path / "first")
    with connect(url) as connection:
        connection.execute(
            "alter table feast_online.shelfcast_job_fail_store_externals add check (event_ts < '2025-02-27')"
        )
    second = add_batch(url, "job_fail", tables_of({(s, 1, WEEKS): 3.0 for s in (1, 2, 3)}, {}))
    with pytest.raises(psycopg.errors.CheckViolation, match="job_fail_store_externals"):
        run(second, tmp_path / "second")
    assert watermark(url, "shelfcast_job_fail") == (week(WEEKS - 1), first["id"])


def test_values_that_did_not_arrive_fail_the_job(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = add_batch(url, "job_lost", tables_of(*small_snapshot()))
    with monkeypatch.context() as lost:
        lost.setattr(materialization, "materialize", lambda *_: None)
        with pytest.raises(
            RuntimeError,
            match=r"8 entities of sales_history in project shelfcast_job_lost, such as store 1, dept 1",
        ):
            run(snapshot, tmp_path / "lost")
    assert watermark(url, "shelfcast_job_lost") is None


@pytest.mark.parametrize(
    "planted",
    [
        "lag_52 = 5e-324",
        "lag_1 = null",
        "event_ts = event_ts - interval '1 week'",
        "event_ts = event_ts + interval '1 week'",
    ],
)
def test_a_wrong_value_online_is_found(url: str, tmp_path: Path, planted: str) -> None:
    snapshot, project = add_batch(url, "job_wrong", tables_of(*small_snapshot())), "shelfcast_job_wrong"
    run(snapshot, tmp_path / "run")
    window = Window(week(WEEKS - 1), week(WEEKS - 1))
    with connect(url) as connection:
        assert materialization.check_online(connection, project, FEATURES, window)[
            "sales_history"
        ] == 5 + len(ESTIMATED)
        # A row of the series without rows in the window.
        connection.execute(
            f"update feast_online.{project}_sales_history set {planted} where store = 3 and dept = 2"
        )
        with pytest.raises(
            RuntimeError, match=r"1 entities of sales_history .* such as store 3, dept 2, are not"
        ):
            materialization.check_online(connection, project, FEATURES, window)


def test_a_row_online_that_has_none_offline_is_found(url: str, tmp_path: Path) -> None:
    snapshot, project = add_batch(url, "job_more", tables_of(*small_snapshot())), "shelfcast_job_more"
    run(snapshot, tmp_path / "run")
    window = Window(week(WEEKS - 1), week(WEEKS - 1))
    with connect(url) as connection:
        connection.execute(f"delete from feast_offline.{project}_store_externals where store = 2")
        with pytest.raises(RuntimeError, match=r"1 entities of store_externals .* such as store 2, are not"):
            materialization.check_online(connection, project, FEATURES, window)


def test_a_view_whose_rows_grow_old_is_left_to_feasts_engine(url: str) -> None:
    stores = next(v for v in feast_repository.feature_views("none", FEATURES) if v.name == "store_attributes")
    stores.ttl = timedelta(weeks=1)
    with feast_repository.open_store("shelfcast_job_old", url) as store:
        store.apply([*feast_repository.entities().values(), stores])
        with pytest.raises(
            NotImplementedError, match="the feature view store_attributes transforms, renames or ages"
        ):
            materialization.materialize(store, Window(week(0), week(1)))


def test_a_horizon_that_needs_the_future_is_refused(url: str, tmp_path: Path) -> None:
    snapshot = add_batch(url, "job_horizon", tables_of(*small_snapshot()))
    with pytest.raises(UserError, match=r"horizonWeeks is 51; it must be 1 to 50") as refused:
        run(snapshot, tmp_path / "far", horizon_weeks=51)
    assert refused.value.type == "InvalidInput"


def test_a_database_in_another_time_zone_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTZ", "Europe/Berlin")
    with (
        pytest.raises(UserError, match=r"is Europe/Berlin; set it with: alter database"),
        feast_repository.open_store("shelfcast_zone", url),
    ):
        pass
