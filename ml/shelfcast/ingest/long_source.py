"""Sources in the long layout: a folder, a URL, one file, or queries."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
from shelfcast.ingest.decompression import decompress
from shelfcast.ingest.level_members import reads_items
from shelfcast.ingest.location import FILE_ENDINGS, Folder, read_object, split_file
from shelfcast.ingest.long_layout import SINGLE_ROLES, column_search, read_long, with_open_weeks
from shelfcast.ingest.parquet_file import read_parquet
from shelfcast.ingest.query import read_query
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.ingest.source_url import shown_url
from shelfcast.ingest.summed_days import FileName
from shelfcast.ingest.workbook import WORKBOOK_ENDINGS, read_workbook
from shelfcast.job import UserError
from shelfcast.snapshot import COVARIATES

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
    path = path_of(source)
    file = split_file(path)
    if file is None:
        return read_long_folder(path, source.encoding, known, columns, declared)
    folder, name = file
    data = read_object(folder, name)
    if data is None:
        raise UserError("BadData", f"there is no file {shown_url(path)}")

    def read(file: FileName, search: ColumnSearch) -> SourceFile | None:
        return parse_file(name, data, source.encoding, search) if file == "sales" else None

    declared = declared or NOTHING_DECLARED
    return _read_files(read, declared, _covariates(declared, columns, None, known), known)


def path_of(source: LongSource) -> str:
    """Returns the path or URL of a source, also where a variable holds it.

    Raises:
        UserError: ``InvalidInput``: the variable is not set or holds no URL.
    """
    if source.address_variable is None:
        assert source.path is not None
        return source.path
    url = os.environ.get(source.address_variable, "").strip()
    if not url.startswith(("https://", "http://", "s3://")):
        state = "holds no URL" if url else "is not set where jobs run"
        raise UserError(
            "InvalidInput",
            f"source.addressVariable: {source.address_variable} {state}; it must name a folder or a file of "
            "sales, like https://user:password@host/sales",
        )
    return url


def read_long_folder(
    path: str,
    encoding: str,
    known: Mapping[str, pa.Table],
    columns: Sequence[Any] | None = None,
    declared: Declared | None = None,
) -> SourceRows:
    """Reads sales and the optional files, each as .csv, compressed or not, .parquet or .xlsx.

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
    folder, columns_file = Folder(path), None
    if declared is None:
        declared = declared_in_file(folder.read(DECLARATION_FILE))
        if columns is not None:
            declared = replace(declared, covariates=None)
    if columns is None:
        columns_file = folder.read(COLUMNS_FILE)
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
        file = folder.find(*(f"{name}.{ending}" for ending in FILE_ENDINGS))
        if file is not None:
            return parse_file(*file, encoding, search)
        if name == "sales":
            raise UserError(
                "BadData",
                f"{folder.shown} has no sales.csv, sales.parquet or sales.xlsx; {other_files(folder)}"
                "docs/data.md describes the files",
            )
        return None

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


def other_files(folder: Folder) -> str:
    """Returns a sentence about files of another name or kind."""
    names, workbooks = folder.tables(), folder.other_workbooks()
    if not names and workbooks:
        return f"it has the workbook {workbooks[0]}: save it as .xlsx; "
    if not names:
        return ""
    first = f"{folder.shown}/{names[0]}"
    return f"it has {', '.join(names[:5])}: give the file of sales itself, like --data {first}; "


def parse_file(file_name: str, data: bytes, encoding: str, search: ColumnSearch) -> SourceFile:
    """Returns the searched columns of a file, whose ending says its format.

    Raises:
        UserError: ``BadData``: the file cannot be read.
    """
    ending = file_name.lower().rpartition(".")[2]
    if ending == "parquet":
        return read_parquet(file_name, data, search)
    if ending in WORKBOOK_ENDINGS:
        return read_workbook(file_name, data, search)
    return parse_csv(file_name, decompress(file_name, data), search, encoding)
