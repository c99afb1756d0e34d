"""Where files in the long layout come from: a folder, a URL, one file, or queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import pyarrow as pa

from shelfcast.ingest.csv_file import parse_csv
from shelfcast.ingest.declarations import (
    COLUMNS_FILE,
    Declarations,
    declarations_of_file,
    declarations_of_input,
)
from shelfcast.ingest.location import read_object, split_file
from shelfcast.ingest.long_layout import FileName, read_long, wanted_columns
from shelfcast.ingest.parquet_file import read_parquet
from shelfcast.ingest.query import read_query
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import DECLARED_COLUMNS

_Reader = Callable[[str, bytes, tuple[str, ...], tuple[str, ...]], SourceFile]
_READERS: Mapping[str, _Reader] = {"csv": parse_csv, "parquet": read_parquet}


def read_long_source(source: Mapping[str, Any], known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads a source of kind ``long``: a folder, or one file of sales where its path ends so.

    Args:
        source: Of ``IngestSpec``.
        known: As for ``long_layout.read_long``.

    Raises:
        UserError: A file cannot be read, or a declaration of columns is wrong.
        ConnectionError: A server did not answer; worth another try.
    """
    path, encoding, columns = source["path"], source["encoding"], source.get("columns")
    place = split_file(path)
    if place is None:
        return read_long_folder(path, encoding, known, columns)
    folder, name = place
    declarations = declarations_of_input(columns or [], known[DECLARED_COLUMNS.name])
    data = read_object(folder, name)
    if data is None:
        raise UserError("BadData", f"there is no file {path.split('?')[0]}")
    return read_long({"sales": _parse(name, data, encoding, "sales", declarations)}, known, declarations)


def read_long_folder(
    path: str, encoding: str, known: Mapping[str, pa.Table], columns: Sequence[Any] | None = None
) -> SourceRows:
    """Reads sales and the other files where they are there, each as .csv or .parquet.

    Args:
        path: Absolute path, or URL (http, https or s3) of a folder.
        encoding: Of CSV: ``utf-8`` or ``latin-1``.
        known: As for ``long_layout.read_long``.
        columns: Declarations that count instead of the folder's columns.json.

    Raises:
        UserError: ``BadData`` when there are no sales, a file is there twice or cannot be read; a declaration
            is wrong.
        ConnectionError: A server did not answer; worth another try.
    """
    earlier = known[DECLARED_COLUMNS.name]
    declarations = (
        declarations_of_file(read_object(path, COLUMNS_FILE), earlier)
        if columns is None
        else declarations_of_input(columns, earlier)
    )
    files = {name: _read_file(path, name, encoding, declarations) for name in get_args(FileName)}
    if files["sales"] is None:
        raise UserError(
            "BadData", f"{path} has no sales.csv and no sales.parquet; docs/data.md describes the files"
        )
    return read_long({name: file for name, file in files.items() if file is not None}, known, declarations)


def read_long_queries(source: Mapping[str, Any], known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads the answers of the source's queries ``sales``, ``seriesWeeks``, ``storeWeeks`` and ``stores``.

    Raises:
        UserError: A query, its answer or a declaration of columns is wrong.
        ConnectionError: The database did not let us in; worth another try.
    """
    declarations = declarations_of_input(source.get("columns", []), known[DECLARED_COLUMNS.name])
    queries: dict[FileName, str | None] = {
        "sales": source["sales"],
        "series_weeks": source.get("seriesWeeks"),
        "store_weeks": source.get("storeWeeks"),
        "stores": source.get("stores"),
    }
    files = {
        name: parse_csv(
            f"query of {name}",
            read_query(source["addressVariable"], name, sql),
            *wanted_columns(name, declarations),
        )
        for name, sql in queries.items()
        if sql is not None
    }
    return read_long(files, known, declarations)


def _read_file(path: str, name: FileName, encoding: str, declarations: Declarations) -> SourceFile | None:
    found = {ending: read_object(path, f"{name}.{ending}") for ending in _READERS}
    there = {ending: data for ending, data in found.items() if data is not None}
    if len(there) > 1:
        raise UserError("BadData", f"{path} has both {name}.csv and {name}.parquet; keep one of them")
    for ending, data in there.items():
        return _parse(f"{name}.{ending}", data, encoding, name, declarations)
    return None


def _parse(
    file_name: str, data: bytes, encoding: str, name: FileName, declarations: Declarations
) -> SourceFile:
    ending = file_name.rpartition(".")[2].lower()
    if ending == "csv" and encoding == "latin-1":
        data = data.decode("latin-1").encode()
    return _READERS[ending](file_name, data, *wanted_columns(name, declarations))
