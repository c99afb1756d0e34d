"""The ingest job: ``IngestSpec`` to ``IngestResult`` of contracts/jobs.ts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from shelfcast.database import connect
from shelfcast.ingest.bad_rows import check_bad_rows
from shelfcast.ingest.generator import generate
from shelfcast.ingest.load import known_result, load, lock_dataset
from shelfcast.ingest.walmart import read_folder
from shelfcast.job import database_url, main, report_progress


def run(spec: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Loads the spec's source, unless a batch with its requestId is there."""
    with connect(database_url()) as connection:
        lock_dataset(connection, spec["dataset"])
        known = known_result(connection, spec)
        if known is not None:
            report_progress(directory, f"found batch {known['snapshot']['batchId']} of an earlier attempt")
            return known
        tables, source_report = _read(spec, directory)
        report_progress(directory, f"checked {len(tables['sales'])} rows of sales", fraction=0.3)
        result = load(connection, spec, tables, source_report)
    report_progress(
        directory, f"loaded {result['insertedRows']} rows as {result['snapshot']['id']}", fraction=1
    )
    return result


def _read(spec: dict[str, Any], directory: Path) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Returns the source's tables, and badRows, badRowsUri and oracleUri for the result."""
    source = spec["source"]
    if source["kind"] == "generated":
        report_progress(directory, "generating sales", fraction=0)
        generated = generate(source["stores"], source["departments"], source["weeks"], source["seed"])
        oracle = directory / "oracle.parquet"
        parquet.write_table(generated.oracle, oracle)
        return generated.tables, {"badRows": 0, "badRowsUri": None, "oracleUri": oracle.resolve().as_uri()}
    report_progress(directory, f"reading {source['path']}", fraction=0)
    folder = read_folder(Path(source["path"]))
    report = directory / "bad-rows.csv"
    bad_rows = check_bad_rows(folder.findings, folder.row_count, spec["maxBadRowShare"], report)
    uri = report.resolve().as_uri() if bad_rows else None
    return folder.tables, {"badRows": bad_rows, "badRowsUri": uri, "oracleUri": None}


if __name__ == "__main__":
    main(run)
