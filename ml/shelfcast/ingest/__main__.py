"""Ingest job, ``python -m shelfcast.ingest --dir DIR``: loads a source into a data set."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from shelfcast.contracts.results import IngestResult
from shelfcast.contracts.specs import (
    GeneratedSource,
    IngestSpec,
    LongSource,
    PostgresSource,
    WalmartSource,
)
from shelfcast.database import connect
from shelfcast.ingest.bad_rows import write_bad_rows
from shelfcast.ingest.generator import generate
from shelfcast.ingest.load import (
    SourceReport,
    known_result,
    load,
    lock_dataset,
    newest_snapshot,
    newest_unit,
)
from shelfcast.ingest.load_checks import check_content, check_unit
from shelfcast.ingest.long_source import read_long_queries, read_long_source
from shelfcast.ingest.numbering import plain_ids
from shelfcast.ingest.quality import Check, Overrides, check_allowed, require_quality
from shelfcast.ingest.source_checks import check_source
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.ingest.walmart import read_folder
from shelfcast.job import UserError, database_url, main, report_progress
from shelfcast.snapshot import IDS, SALES

#: Sources that are read, not generated.
_Source = WalmartSource | LongSource | PostgresSource
#: Tables of a source by name, its checks, and its part of the result.
_Checked = tuple[dict[str, pa.Table], list[Check], SourceReport]


def run(spec: IngestSpec, directory: Path) -> IngestResult:
    """Loads the spec's source unless a batch with its requestId exists."""
    overrides = Overrides(spec.allow or [], spec.acknowledge)
    check_allowed(overrides.allow)
    with connect(database_url()) as connection:
        lock_dataset(connection, spec.dataset)
        known = known_result(connection, spec)
        if known is not None:
            report_progress(directory, f"found batch {known.snapshot.batch_id} of an earlier attempt")
            return known
        before = newest_snapshot(connection, spec.dataset)
        tables, checks, source_report = _read(spec, directory, before)
        unit = newest_unit(connection, spec.dataset)
        if len(before[SALES.name]) > 0:
            checks.append(check_unit(source_report.unit, unit))
        quality = require_quality(checks, tables, overrides, directory, spec.dataset)
        if len(tables[SALES.name]) == 0:
            raise UserError("BadData", f"the source has no good row of sales for data set {spec.dataset}")
        report_progress(directory, f"checked {len(tables['sales'])} rows of sales", fraction=0.3)
        result = load(connection, spec, tables, source_report, quality, source_report.unit or unit)
    report_progress(directory, f"loaded {result.inserted_rows} rows as {result.snapshot.id}", fraction=1)
    return result


def _read(spec: IngestSpec, directory: Path, before: dict[str, pa.Table]) -> _Checked:
    source = spec.source
    if isinstance(source, GeneratedSource):
        return _generate(source, directory, before)
    report_progress(directory, f"reading {_location(source)}", fraction=0)
    rows = _read_rows(source, before)
    tables, checks = check_source(rows, before, spec.max_bad_row_share)
    report = directory / "bad-rows.csv"
    bad_rows = write_bad_rows(rows.findings, report)
    uri = report.resolve().as_uri() if bad_rows else None
    return tables, checks, SourceReport(bad_rows=bad_rows, bad_rows_uri=uri, oracle_uri=None, unit=rows.unit)


def _location(source: _Source) -> str:
    match source:
        case WalmartSource():
            return source.path
        case LongSource():
            return source.path or f"the files of {source.address_variable}"
        case PostgresSource():
            return "the results of queries"


def _read_rows(source: _Source, before: dict[str, pa.Table]) -> SourceRows:
    match source:
        case WalmartSource():
            return read_folder(Path(source.path), before)
        case LongSource():
            return read_long_source(source, before)
        case PostgresSource():
            return read_long_queries(source, before)


def _generate(source: GeneratedSource, directory: Path, before: dict[str, pa.Table]) -> _Checked:
    """Generates sales. Only their content is checked: weeks may lie ahead, and their number may change."""
    report_progress(directory, "generating sales", fraction=0)
    generated = generate(source.stores, source.departments, source.weeks, source.seed)
    oracle = directory / "oracle.parquet"
    parquet.write_table(generated.oracle, oracle)
    report = SourceReport(bad_rows=0, bad_rows_uri=None, oracle_uri=oracle.resolve().as_uri())
    tables = generated.tables | {IDS.name: plain_ids(generated.tables, before)}
    return tables, check_content(tables, before), report


if __name__ == "__main__":
    main(run, IngestSpec)
