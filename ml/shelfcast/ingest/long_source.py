"""Sources in the long layout: a folder, a URL, one file, or queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from shelfcast.contracts.specs import LongSource, PostgresSource
from shelfcast.contracts.wire import encode
from shelfcast.ingest.column_search import ColumnSearch
from shelfcast.ingest.covariates import (
    COLUMNS_FILE,
    Covariates,
    covariates_from_file,
    covariates_from_input,
    covariates_of_declaration,
)
from shelfcast.ingest.csv_file import parse_csv
from shelfcast.ingest.declaration import (
    DECLARATION_FILE,
    NOTHING_DECLARED,
    Declared,
    check_declared,
    declared_in_file,
    declared_in_input,
)
from shelfcast.ingest.declared_holidays import declared_calendar
from shelfcast.ingest.decompression import CSV_ENDINGS, decompress
from shelfcast.ingest.level_members import reads_items
from shelfcast.ingest.location import read_object, split_file
from shelfcast.ingest.long_layout import SINGLE_ROLES, column_search, read_long, with_open_weeks
from shelfcast.ingest.parquet_file import read_parquet
from shelfcast.ingest.query import read_query
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.ingest.summed_days import FileName
from shelfcast.job import UserError
from shelfcast.snapshot import COVARIATES

#: Endings of the files of a source.
FILE_ENDINGS = (*CSV_ENDINGS, "parquet")

#: Function that reads a file of the source, or returns None if the source has no such file.
_Read = Callable[[FileName, ColumnSearch], SourceFile | None]


def read_long_source(source: LongSource, known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads a source of kind ``long``: a folder, or one file of sales if the path ends like one.

    Args:
        source: Source of ``IngestSpec``.
        known: Rows of the newest snapshot, as for ``long_layout.read_long``.

    Raises:
        UserError: A file cannot be read, or a declaration is wrong.
        ConnectionError: A server did not answer; another try may help.
    """
    declared, columns = declared_in_input(source.declaration), encode(source.columns)
    file = split_file(source.path)
    if file is None:
        return read_long_folder(source.path, source.encoding, known, columns, declared)
    folder, name = file
    data = read_object(folder, name)
    if data is None:
        raise UserError("BadData", f"there is no file {source.path.split('?')[0]}")

    def read(file: FileName, search: ColumnSearch) -> SourceFile | None:
        return parse_file(name, data, source.encoding, search) if file == "sales" else None

    declared = declared or NOTHING_DECLARED
    return _read_files(read, declared, _covariates(declared, columns, None, known), known)


def read_long_folder(
    path: str,
    encoding: str,
    known: Mapping[str, pa.Table],
    columns: Sequence[Any] | None = None,
    declared: Declared | None = None,
) -> SourceRows:
    """Reads sales and the optional files, each as .csv, compressed or not, or .parquet.

    Args:
        path: Absolute path, or URL (http, https or s3) of a folder.
        encoding: Encoding of CSV files as for ``parse_csv``, ``utf-8`` or ``latin-1``.
        known: Rows of the newest snapshot, as for ``long_layout.read_long``.
        columns: Covariates that count instead of the folder's columns.json.
        declared: Declaration that counts instead of the folder's shelfcast.json.

    Raises:
        UserError: ``BadData``: there are no sales, a file exists in two formats or cannot be read, or a
            declaration is wrong.
        ConnectionError: A server did not answer; another try may help.
    """
    columns_file = None
    if declared is None:
        declared = declared_in_file(read_object(path, DECLARATION_FILE))
        if columns is not None:
            declared = replace(declared, covariates=None)
    if columns is None:
        columns_file = read_object(path, COLUMNS_FILE)
        if (
            declared.where == DECLARATION_FILE
            and declared.covariates is not None
            and columns_file is not None
        ):
            raise UserError(
                "BadData",
                f"{DECLARATION_FILE} and {COLUMNS_FILE} both declare covariates; keep them in one of them",
            )

    def read(name: FileName, search: ColumnSearch) -> SourceFile | None:
        file = _read_file(path, name, encoding, search)
        if file is None and name == "sales":
            raise UserError(
                "BadData",
                f"{path} has no sales.csv and no sales.parquet; {_other_files(path)}docs/data.md describes "
                "the files",
            )
        return file

    return _read_files(read, declared, _covariates(declared, columns, columns_file, known), known)


def read_long_queries(source: PostgresSource, known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads the answers of the source's queries, of which ``sales`` must be one.

    Raises:
        UserError: A query, its answer or a declaration is wrong.
        ConnectionError: The database did not answer; another try may help.
    """
    declared = declared_in_input(source.declaration) or NOTHING_DECLARED
    covariates = _covariates(declared, encode(source.columns), None, known)
    queries: dict[FileName, str | None] = {
        "sales": source.sales,
        "series_weeks": source.series_weeks,
        "store_weeks": source.store_weeks,
        "stores": source.stores,
        "items": source.items,
        "events": source.events,
    }

    def read(name: FileName, search: ColumnSearch) -> SourceFile | None:
        query = queries.get(name)
        return None if query is None else read_query(source.address_variable, name, query, search)

    return _read_files(read, declared, covariates, known)


def _covariates(
    declared: Declared,
    columns: Sequence[Any] | None,
    columns_file: bytes | None,
    known: Mapping[str, pa.Table],
) -> Covariates:
    """Returns the covariates of ``source.columns``, of the declaration or of columns.json, in this order."""
    earlier = known[COVARIATES.name]
    if columns is not None:
        return covariates_from_input(columns, earlier)
    if declared.covariates is not None:
        return covariates_of_declaration(declared, earlier)
    return covariates_from_file(columns_file, earlier)


def _read_files(
    read: _Read, declared: Declared, covariates: Covariates, known: Mapping[str, pa.Table]
) -> SourceRows:
    """Reads the files, sales first: a role without a column in sales needs none in the other files."""
    single = [role for role in SINGLE_ROLES if declared.has_columns and not declared.columns(role)]
    files: dict[FileName, SourceFile] = {}
    for name in get_args(FileName):
        if name == "items" and not reads_items(declared):
            continue
        file = read(name, column_search(name, declared, covariates, single))
        if file is not None:
            files[name] = file
        if name == "sales":
            single = [role for role in single if role in files[name].constants]
    check_declared(declared, list(files.values()))
    covariates = with_open_weeks(covariates, files)
    rows = read_long(files, known, covariates, declared)
    chosen = declared.declaration.holidays
    days = declared_calendar(chosen, declared.where, declared.error, rows.tables, known)
    return replace(rows, holidays=replace(rows.holidays, calendar=days))


def _read_file(path: str, name: FileName, encoding: str, search: ColumnSearch) -> SourceFile | None:
    objects = {f"{name}.{ending}": read_object(path, f"{name}.{ending}") for ending in FILE_ENDINGS}
    present = {file: data for file, data in objects.items() if data is not None}
    if len(present) > 1:
        raise UserError("BadData", f"{path} has both {' and '.join(present)}; keep one of them")
    for file, data in present.items():
        return parse_file(file, data, encoding, search)
    return None


def _other_files(path: str) -> str:
    """Returns a sentence about files of another name in a local folder."""
    if not path.startswith("/") or not Path(path).is_dir():
        return ""
    names = sorted(file.name for file in Path(path).iterdir() if split_file(str(file)) is not None)
    if not names:
        return ""
    return f"it has {', '.join(names[:5])}: give the file of sales itself, like --data {path}/{names[0]}; "


def parse_file(file_name: str, data: bytes, encoding: str, search: ColumnSearch) -> SourceFile:
    """Returns the searched columns of a file, whose ending says its format.

    Raises:
        UserError: ``BadData``: the file cannot be read.
    """
    if file_name.lower().endswith(".parquet"):
        return read_parquet(file_name, data, search)
    return parse_csv(file_name, decompress(file_name, data), search, encoding)
