"""Where files in the long layout come from: a folder, a URL, or queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import pyarrow as pa

from shelfcast.ingest.csv_file import parse_csv
from shelfcast.ingest.location import read_object
from shelfcast.ingest.long_layout import FileName, read_long, wanted_columns
from shelfcast.ingest.parquet_file import read_parquet
from shelfcast.ingest.query import read_query
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError

_Reader = Callable[[str, bytes, tuple[str, ...], tuple[str, ...]], SourceFile]
_READERS: Mapping[str, _Reader] = {"csv": parse_csv, "parquet": read_parquet}


def read_long_folder(path: str, encoding: str, known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads sales and, where they are there, store_weeks and stores, each as .csv or .parquet.

    Args:
        path: Absolute path, or URL (http, https or s3) of a folder.
        encoding: Of CSV: ``utf-8`` or ``latin-1``.
        known: As for ``long_layout.read_long``.

    Raises:
        UserError: ``BadData`` when there are no sales, a file is there twice or cannot be read.
        ConnectionError: A server did not answer; worth another try.
    """
    files = {name: _read_file(path, name, encoding) for name in get_args(FileName)}
    if files["sales"] is None:
        raise UserError(
            "BadData", f"{path} has no sales.csv and no sales.parquet; docs/data.md describes the files"
        )
    return read_long({name: file for name, file in files.items() if file is not None}, known)


def read_long_queries(source: Mapping[str, Any], known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads the answers of the source's queries ``sales``, ``storeWeeks`` and ``stores``.

    Raises:
        UserError: A query or its answer is wrong.
        ConnectionError: The database did not let us in; worth another try.
    """
    queries: dict[FileName, str | None] = {
        "sales": source["sales"],
        "store_weeks": source.get("storeWeeks"),
        "stores": source.get("stores"),
    }
    files = {
        name: parse_csv(
            f"query of {name}", read_query(source["addressVariable"], name, sql), *wanted_columns(name)
        )
        for name, sql in queries.items()
        if sql is not None
    }
    return read_long(files, known)


def _read_file(path: str, name: FileName, encoding: str) -> SourceFile | None:
    found = {ending: read_object(path, f"{name}.{ending}") for ending in _READERS}
    there = {ending: data for ending, data in found.items() if data is not None}
    if len(there) > 1:
        raise UserError("BadData", f"{path} has both {name}.csv and {name}.parquet; keep one of them")
    for ending, data in there.items():
        if ending == "csv" and encoding == "latin-1":
            data = data.decode("latin-1").encode()
        return _READERS[ending](f"{name}.{ending}", data, *wanted_columns(name))
    return None
