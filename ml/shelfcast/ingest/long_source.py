"""Sources in the long layout: a folder, a URL, one file, or queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import pyarrow as pa

from shelfcast.contracts.specs import LongSource, PostgresSource
from shelfcast.contracts.wire import encode
from shelfcast.ingest.covariates import (
    COLUMNS_FILE,
    Covariates,
    covariates_from_file,
    covariates_from_input,
)
from shelfcast.ingest.csv_file import parse_csv
from shelfcast.ingest.decompression import CSV_ENDINGS, decompress
from shelfcast.ingest.location import read_object, split_file
from shelfcast.ingest.long_layout import FileName, read_long, wanted_columns
from shelfcast.ingest.parquet_file import read_parquet
from shelfcast.ingest.query import read_query
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import COVARIATES

_ENDINGS = (*CSV_ENDINGS, "parquet")


def read_long_source(source: LongSource, known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads a source of kind ``long``: a folder, or one file of sales if the path ends like one.

    Args:
        source: Source of ``IngestSpec``.
        known: Rows of the newest snapshot, as for ``long_layout.read_long``.

    Raises:
        UserError: A file cannot be read, or a declaration of covariates is wrong.
        ConnectionError: A server did not answer; another try may help.
    """
    path, encoding, columns = source.path, source.encoding, encode(source.columns)
    file = split_file(path)
    if file is None:
        return read_long_folder(path, encoding, known, columns)
    folder, name = file
    covariates = covariates_from_input(columns or [], known[COVARIATES.name])
    data = read_object(folder, name)
    if data is None:
        raise UserError("BadData", f"there is no file {path.split('?')[0]}")
    return read_long({"sales": _parse(name, data, encoding, "sales", covariates)}, known, covariates)


def read_long_folder(
    path: str, encoding: str, known: Mapping[str, pa.Table], columns: Sequence[Any] | None = None
) -> SourceRows:
    """Reads sales and the optional files, each as .csv, compressed or not, or .parquet.

    Args:
        path: Absolute path, or URL (http, https or s3) of a folder.
        encoding: Encoding of CSV files as for ``parse_csv``, ``utf-8`` or ``latin-1``.
        known: Rows of the newest snapshot, as for ``long_layout.read_long``.
        columns: Covariates that count instead of the folder's columns.json.

    Raises:
        UserError: ``BadData``: there are no sales, a file exists in two formats or cannot be read, or a
            declaration is wrong.
        ConnectionError: A server did not answer; another try may help.
    """
    earlier = known[COVARIATES.name]
    covariates = (
        covariates_from_file(read_object(path, COLUMNS_FILE), earlier)
        if columns is None
        else covariates_from_input(columns, earlier)
    )
    files = {name: _read_file(path, name, encoding, covariates) for name in get_args(FileName)}
    if files["sales"] is None:
        raise UserError(
            "BadData", f"{path} has no sales.csv and no sales.parquet; docs/data.md describes the files"
        )
    return read_long({name: file for name, file in files.items() if file is not None}, known, covariates)


def read_long_queries(source: PostgresSource, known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads the answers of the source's queries ``sales``, ``seriesWeeks``, ``storeWeeks`` and ``stores``.

    Raises:
        UserError: A query, its answer or a declaration of covariates is wrong.
        ConnectionError: The database did not answer; another try may help.
    """
    covariates = covariates_from_input(encode(source.columns) or [], known[COVARIATES.name])
    queries: dict[FileName, str | None] = {
        "sales": source.sales,
        "series_weeks": source.series_weeks,
        "store_weeks": source.store_weeks,
        "stores": source.stores,
    }
    files = {
        name: read_query(source.address_variable, name, sql, *wanted_columns(name, covariates))
        for name, sql in queries.items()
        if sql is not None
    }
    return read_long(files, known, covariates)


def _read_file(path: str, name: FileName, encoding: str, covariates: Covariates) -> SourceFile | None:
    objects = {f"{name}.{ending}": read_object(path, f"{name}.{ending}") for ending in _ENDINGS}
    present = {file: data for file, data in objects.items() if data is not None}
    if len(present) > 1:
        raise UserError("BadData", f"{path} has both {' and '.join(present)}; keep one of them")
    for file, data in present.items():
        return _parse(file, data, encoding, name, covariates)
    return None


def _parse(file_name: str, data: bytes, encoding: str, name: FileName, covariates: Covariates) -> SourceFile:
    columns = wanted_columns(name, covariates)
    if file_name.lower().endswith(".parquet"):
        return read_parquet(file_name, data, *columns)
    return parse_csv(file_name, decompress(file_name, data), *columns, encoding)
