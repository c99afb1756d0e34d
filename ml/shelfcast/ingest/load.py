"""Load of a batch into a data set, which makes a new snapshot.

Everything happens in the caller's transaction, so a load that dies leaves nothing behind. Rows that equal the
newest known value of their key are not stored again. A key that the batch lacks keeps its value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shelfcast.contracts.results import IngestResult, Quality
from shelfcast.contracts.specs import IngestSpec, Snapshot
from shelfcast.contracts.wire import decode, encode
from shelfcast.database import copy_table, lock
from shelfcast.features.enough_weeks import check_demand
from shelfcast.features.training_data import grid_of
from shelfcast.job import UserError
from shelfcast.snapshot import (
    EXTRAS,
    RAW_TABLES,
    SALES,
    RawTable,
    content_hash,
    empty_tables,
    newest_rows,
    read_table,
    with_merged,
    with_null_weeks,
)


@dataclass(frozen=True)
class SourceReport:
    """Part of ``IngestResult`` about the source.

    Attributes:
        bad_rows: Rows that break a rule for single rows.
        bad_rows_uri: File of these rows, or None when there are none.
        oracle_uri: File of the generator's noise-free means; None for real data.
        unit: Unit of the sales; None if the source declares none.
    """

    bad_rows: int
    bad_rows_uri: str | None
    oracle_uri: str | None
    unit: str | None = None


def lock_dataset(connection: psycopg.Connection, dataset: str) -> None:
    """Makes other loads of the data set wait for the end of this transaction."""
    lock(connection, f"shelfcast ingest {dataset}")


def known_result(connection: psycopg.Connection, spec: IngestSpec) -> IngestResult | None:
    """Returns the ``IngestResult`` of the load batch with the spec's requestId, or None.

    Raises:
        UserError: ``InvalidInput``: that batch has another data set or source.
    """
    row = connection.execute(
        "select batch_id, dataset, source from raw.batch where request_id = %s", [spec.request_id]
    ).fetchone()
    if row is None:
        return None
    batch_id, dataset, source = row
    if (dataset, source["spec"]) != (spec.dataset, encode(spec.source)):
        raise UserError(
            "InvalidInput",
            f"requestId {spec.request_id} belongs to batch {batch_id} of data set {dataset} from "
            f"{json.dumps(source['spec'])}; give another load another requestId",
        )
    return decode(IngestResult, source["result"], f"batch {batch_id}")


def newest_snapshot(connection: psycopg.Connection, dataset: str) -> dict[str, pa.Table]:
    """Returns the tables of the data set's newest snapshot by name, empty if there is none."""
    row = connection.execute("select max(batch_id) from raw.batch where dataset = %s", [dataset]).fetchone()
    assert row is not None
    batch_id = row[0]
    if batch_id is None:
        return empty_tables()
    return {raw.name: read_table(connection, raw, dataset, batch_id) for raw in RAW_TABLES}


def newest_unit(connection: psycopg.Connection, dataset: str) -> str | None:
    """Returns the unit of sales that the data set declares, or None if it declares none."""
    row = connection.execute(
        "select source #>> '{result,snapshot,unit}' from raw.batch where dataset = %s "
        "order by batch_id desc limit 1",
        [dataset],
    ).fetchone()
    return None if row is None else row[0]


def load(
    connection: psycopg.Connection,
    spec: IngestSpec,
    tables: Mapping[str, pa.Table],
    source_report: SourceReport,
    quality: Quality,
    unit: str | None,
) -> IngestResult:
    """Adds the tables as a batch and returns its ``IngestResult``; the data set must be locked.

    ``tables`` have the names and columns of ``shelfcast.snapshot``. ``insertedRows`` and ``unchangedRows``
    count rows of sales.

    Raises:
        UserError: ``BadData`` when the data set's weeks would not end on one weekday, or when no demand would
            be known in any of them.
    """
    dataset = spec.dataset
    batch_id = _add_batch(connection, spec)
    inserted = {
        raw.name: _add_rows(connection, raw, tables[raw.name], dataset, batch_id) for raw in RAW_TABLES
    }
    rows = {raw.name: read_table(connection, raw, dataset, batch_id) for raw in RAW_TABLES}
    as_read = with_merged(rows)
    sales = as_read[SALES.name]
    _check_weeks(sales, dataset)
    check_demand(grid_of(sales, with_null_weeks(as_read[EXTRAS.name])))
    digest = content_hash(rows)
    weeks = pc.min_max(sales.column("week")).as_py()
    result = IngestResult(
        snapshot=Snapshot(
            id=f"{dataset}-{batch_id}-{digest[:12]}",
            dataset=dataset,
            batch_id=batch_id,
            content_hash=digest,
            row_count=len(sales),
            series_count=len(sales.group_by(["store", "dept"]).aggregate([])),
            first_week=weeks["min"],
            last_week=weeks["max"],
            unit=unit,
        ),
        inserted_rows=inserted[SALES.name],
        unchanged_rows=len(tables[SALES.name]) - inserted[SALES.name],
        bad_rows=source_report.bad_rows,
        bad_rows_uri=source_report.bad_rows_uri,
        oracle_uri=source_report.oracle_uri,
        quality=quality,
    )
    connection.execute(
        "update raw.batch set content_hash = %s, row_count = %s, source = %s where batch_id = %s",
        [digest, len(sales), json.dumps(encode({"spec": spec.source, "result": result})), batch_id],
    )
    return result


def _add_batch(connection: psycopg.Connection, spec: IngestSpec) -> int:
    """Adds the batch that the rows refer to; hash and row count follow when the rows are loaded."""
    row = connection.execute(
        "insert into raw.batch (dataset, request_id, source, content_hash, row_count) "
        "values (%s, %s, '{}', '', 0) returning batch_id",
        [spec.dataset, spec.request_id],
    ).fetchone()
    assert row is not None
    batch_id: int = row[0]
    return batch_id


def _add_rows(
    connection: psycopg.Connection, raw: RawTable, rows: pa.Table, dataset: str, batch_id: int
) -> int:
    """Adds the rows with a new key or another value than the newest of their key; returns their number."""
    incoming = sql.Identifier("pg_temp", raw.name)
    connection.execute(
        sql.SQL(
            "create temporary table {name} on commit drop as select {columns} from {table} limit 0"
        ).format(name=incoming, columns=raw.columns, table=raw.identifier)
    )
    copy_table(connection, incoming, rows)
    statement = sql.SQL(
        "insert into {table} (dataset, batch_id, {columns}) select {dataset}, {batch_id}, {columns} "
        "from (select {columns} from {incoming} except ({newest})) as changed order by {columns}"
    ).format(
        table=raw.identifier,
        columns=raw.columns,
        dataset=sql.Literal(dataset),
        batch_id=sql.Literal(batch_id),
        incoming=incoming,
        newest=newest_rows(raw, dataset, batch_id),
    )
    return connection.execute(statement).rowcount


def _check_weeks(sales: pa.Table, dataset: str) -> None:
    weeks = np.unique(sales.column("week").cast(pa.int32()).to_numpy())
    if len(np.unique(weeks % 7)) > 1:
        raise UserError(
            "BadData",
            f"the weeks of data set {dataset} would end on different weekdays; load this source into "
            "another data set, or shift its dates to the weekday of the data set",
        )
