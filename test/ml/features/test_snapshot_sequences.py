"""Random snapshots one after the other, some runs killed: what Feast has is that of a single run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql
from random_batches import RandomBatches

from shelfcast import snapshot
from shelfcast.contracts.specs import FeaturesSpec
from shelfcast.contracts.wire import decode
from shelfcast.database import connect, identifiers
from shelfcast.features import feast_repository, materialization, offline_tables, training_data
from shelfcast.features.build import offline_rows, publish_features, read_inputs
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.materialization import Window
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS, table_name
from shelfcast.features.sql_engine import PostgreSQLComputeEngine
from shelfcast.features.training_data import Inputs
from shelfcast.features.version import feature_set_version

HORIZON, RUNS = 2, 6
#: A run is killed before or after a call of one of these.
STEPS = (
    (feast_repository, "register_views"),
    (offline_tables, "copy_table"),
    (materialization, "rewind_online"),
    (materialization, "materialize"),
    (PostgreSQLComputeEngine, "_materialize_one"),
    (materialization, "check_online"),
    (materialization, "move_watermark"),
    (feast_repository, "register_services"),
)
#: (view, join keys, event time)
Key = tuple[Any, ...]
Values = tuple[Any, ...]


class KilledError(Exception):
    """In place of the end of a process."""


@dataclass(frozen=True)
class Offline:
    """The offline tables: the batch and version they say they are of, times of creation and values."""

    batch: int
    version: str
    created: dict[Key, datetime]
    values: dict[Key, Values]


@pytest.mark.parametrize("seed", range(2))
def test_any_sequence_of_snapshots_ends_as_a_single_run(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    raw = RandomBatches(database_url, f"sequence_{seed}", rng)
    raw.add_first()
    before = None
    for number in range(RUNS):
        if rng.random() < 0.8:
            raw.add_random()
        if rng.random() < 0.1:
            forget(raw)
            before = None
        batch = choose(raw)
        for attempt in count():
            folder = tmp_path / f"{number}-{attempt}"
            folder.mkdir()
            with monkeypatch.context() as patch, suppress(KilledError):
                if attempt == 0 and rng.random() < 0.6:
                    kill(patch, *random_step(rng))
                inputs, features = run(raw, batch, folder)
                break
            before = check_written(raw, before, batch)
            if rng.random() < 0.3:
                batch = choose(raw)
        before = check_written(raw, before, batch)
        assert before
        assert (before.batch, before.version) == (batch, feature_set_version(features))
        assert before.values == rebuilt(inputs, features, folder)
        check_online(raw, before)


def test_an_older_snapshot_takes_back_what_a_killed_run_brought(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = RandomBatches(database_url, "taken_back", np.random.default_rng(1))
    raw.add_first()
    run(raw, 0, tmp_path)
    for _ in range(6):
        raw.add_random()
    with monkeypatch.context() as patch:
        kill(patch, PostgreSQLComputeEngine, "_materialize_one", 2, after=True)
        with pytest.raises(KilledError):
            run(raw, 6, tmp_path)
    newer = read_offline(raw)
    assert newer
    assert newer.batch == 6
    with monkeypatch.context() as patch:
        kill(patch, materialization, "rewind_online", 0, after=True)
        with pytest.raises(KilledError):
            run(raw, 0, tmp_path)
    assert read_offline(raw) == newer
    with monkeypatch.context() as patch:
        kill(patch, materialization, "materialize", 0, after=False)
        with pytest.raises(KilledError):
            run(raw, 0, tmp_path)
    for _ in range(2):
        offline = read_offline(raw)
        assert offline
        assert offline.batch == 0
        check_online(raw, offline)
        run(raw, 0, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        "drop table feast_offline.{project}_calendar",
        "alter table feast_offline.{project}_store_externals drop column cpi",
        "alter table feast_offline.{project}_sales_history alter lag_1 type real",
        "update ops.offline_snapshot set feature_set_version = '' where feast_project = '{project}'",
    ],
)
def test_tables_of_other_definitions_are_made_anew(database_url: str, tmp_path: Path, damage: str) -> None:
    raw = RandomBatches(database_url, "damaged", np.random.default_rng(1))
    raw.add_first()
    run(raw, 0, tmp_path)
    before = read_offline(raw)
    with connect(database_url) as connection:
        connection.execute(damage.format(project=project_of(raw)))
    inputs, features = run(raw, 0, tmp_path)
    after = read_offline(raw)
    assert before
    assert after
    assert after.values == rebuilt(inputs, features, tmp_path)
    assert set(after.created.values()).isdisjoint(before.created.values())


def choose(raw: RandomBatches) -> int:
    """Returns the newest batch, or sometimes any."""
    newest = len(raw.snapshots) - 1
    return int(raw.rng.integers(newest + 1)) if raw.rng.random() < 0.3 else newest


def forget(raw: RandomBatches) -> None:
    """Leaves the database as one from before the offline tables said what they hold."""
    with connect(raw.url) as connection:
        connection.execute("delete from ops.offline_snapshot where feast_project = %s", [project_of(raw)])


def run(raw: RandomBatches, batch: int, folder: Path) -> tuple[Inputs, FeatureSet]:
    """Does what the job does, without Ray."""
    taken = raw.snapshots[batch]
    features = features_of(raw, taken["batchId"])
    with connect(raw.url) as connection:
        inputs = read_inputs(connection, raw.dataset, taken["batchId"])
    training_data.write_shared(folder, inputs, features)
    made: list[Path] = []
    tables = offline_rows(inputs, features, folder, series_files(inputs, features, folder, made))
    spec = {"snapshot": taken, "feastProject": project_of(raw)}
    publish_features(
        raw.url, decode(FeaturesSpec, spec, "spec"), folder, Window(*inputs.weeks), features, tables
    )
    assert len(made) == training_data.SERIES_FILES, "training needs all, whatever is written offline"
    return inputs, features


def series_files(inputs: Inputs, features: FeatureSet, folder: Path, made: list[Path]) -> Iterator[Path]:
    inputs = training_data.with_structural(inputs, features)
    for number in range(training_data.SERIES_FILES):
        training_data.write_series(folder, number, training_data.series_rows(inputs, number, features))
        made.append(training_data.series_path(folder, number))
        yield made[-1]


def random_step(rng: np.random.Generator) -> tuple[Any, str, int, bool]:
    """Returns the arguments of ``kill``."""
    owner, name = STEPS[int(rng.integers(len(STEPS)))]
    call = int(rng.integers(3)) if name in ("copy_table", "_materialize_one") else 0
    return owner, name, call, bool(rng.random() < 0.5)


def kill(patch: pytest.MonkeyPatch, owner: Any, name: str, call: int, after: bool) -> None:
    """Makes runs end before or after the n-th call of a step, counted from 0, if they get there."""
    step, calls = getattr(owner, name), count()

    def killed(*args: Any, **kwargs: Any) -> Any:
        last = next(calls) == call
        if last and not after:
            raise KilledError
        result = step(*args, **kwargs)
        if last:
            raise KilledError
        return result

    patch.setattr(owner, name, killed)


def check_written(raw: RandomBatches, before: Offline | None, batch: int) -> Offline | None:
    """Checks that the last run, killed or not, wrote the offline rows that may differ and no other."""
    after = read_offline(raw)
    if after is None or before is None:
        assert before is None
        return after
    if (after.batch, after.version) == (before.batch, before.version):
        assert after == before
        return after
    assert after.batch == batch
    first = date.min
    if before.batch <= batch and before.version == after.version:
        first = raw.first_changed(before.batch, batch, features_of(raw, raw.snapshots[batch]["batchId"]))
    kept = {key for key in after.created if key[0] in offline_tables.WEEKLY and key[-1].date() < first}
    assert {key: before.created[key] for key in kept} == {key: after.created[key] for key in kept}
    earlier = set(before.created.values())
    assert not any(after.created[key] in earlier for key in after.created.keys() - kept)
    if before.batch > batch and watermark(raw) is not None:
        # Even if the run was killed at once: readers never see rows of two snapshots.
        check_online(raw, after)
    return after


def check_online(raw: RandomBatches, offline: Offline) -> None:
    """Checks that online are the newest offline rows and nothing else, and that the watermark says so."""
    newest = {key[:-1]: key[-1] for key in sorted(offline.values, key=lambda key: key[-1])}
    taken = raw.snapshots[offline.batch]
    with connect(raw.url) as connection:
        features = features_of(raw, taken["batchId"])
        online = read_views(connection, "feast_online", project_of(raw), features, "event_ts")
    assert online == {(*key, time): offline.values[*key, time] for key, time in newest.items()}
    assert watermark(raw) == (max(newest.values()).date(), taken["id"])


def rebuilt(inputs: Inputs, features: FeatureSet, folder: Path) -> dict[Key, Values]:
    """Returns the rows that tables made anew would have."""
    paths = [training_data.series_path(folder, number) for number in range(training_data.SERIES_FILES)]
    rows: dict[Key, Values] = {}
    for view, tables in offline_rows(inputs, features, folder, paths).items():
        for table in tables:
            keys = table.select([*JOIN_KEYS[view], EVENT]).to_pylist()
            values = table.select(features.view_columns[view]).to_pylist()
            rows |= {(view, *k.values()): tuple(v.values()) for k, v in zip(keys, values, strict=True)}
    return rows


def read_offline(raw: RandomBatches) -> Offline | None:
    """Returns the offline tables; None if they do not say what they are of."""
    project = project_of(raw)
    with connect(raw.url) as connection:
        row = connection.execute(
            "select snapshot_id, feature_set_version from ops.offline_snapshot where feast_project = %s",
            [project],
        ).fetchone()
        if row is None:
            return None
        batch = next(number for number, taken in enumerate(raw.snapshots) if taken["id"] == row[0])
        features = features_of(raw, raw.snapshots[batch]["batchId"])
        assert feature_set_version(features) == row[1]
        rows = read_views(connection, "feast_offline", project, features, EVENT, CREATED)
    created = {key[:-1]: key[-1] for key in rows}
    assert len(created) == len(rows), "no entity has two rows of one time"
    return Offline(
        batch, feature_set_version(features), created, {key[:-1]: row for key, row in rows.items()}
    )


def read_views(
    connection: psycopg.Connection, schema: str, project: str, features: FeatureSet, *times: str
) -> dict[Key, Values]:
    """Returns the values of all tables of a schema by view, join keys and times."""
    rows: dict[Key, Values] = {}
    for view, columns in features.view_columns.items():
        statement = sql.SQL("select {} from {}").format(
            identifiers([*JOIN_KEYS[view], *times, *columns]),
            sql.Identifier(schema, table_name(project, view)),
        )
        for row in connection.execute(statement):
            rows[view, *row[: -len(columns)]] = row[-len(columns) :]
    return rows


def watermark(raw: RandomBatches) -> tuple[date, str] | None:
    with connect(raw.url) as connection:
        return connection.execute(
            "select watermark, snapshot_id from ops.feature_watermark where feast_project = %s",
            [project_of(raw)],
        ).fetchone()


def features_of(raw: RandomBatches, batch_id: int) -> FeatureSet:
    with connect(raw.url) as connection:
        return FeatureSet(HORIZON, tuple(snapshot.read_covariates(connection, raw.dataset, batch_id)))


def project_of(raw: RandomBatches) -> str:
    return f"shelfcast_{raw.dataset}"
