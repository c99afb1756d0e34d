"""The file of sales of a folder, a URL or a query, with all of its columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from shelfcast.contracts.specs import Declaration, LongSource, PostgresSource
from shelfcast.contracts.wire import default
from shelfcast.ingest.declaration import DECLARATION_FILE, Declared, declared_in_file
from shelfcast.ingest.location import read_object, split_file
from shelfcast.ingest.long_source import FILE_ENDINGS, parse_file, read_long_queries, read_long_source
from shelfcast.ingest.query import read_query
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.ingest.summed_days import FileName
from shelfcast.inspection.columns import EVERY_COLUMN
from shelfcast.job import UserError
from shelfcast.snapshot import empty_tables

#: Names of the files beside that of sales.
_OTHERS = frozenset(get_args(FileName)) - {"sales"}


@dataclass(frozen=True)
class Sales:
    """Sales to inspect.

    Attributes:
        file: File of sales with all columns.
        source: Source that reads it together with the files beside it.
        others: Names of the other files of the long layout.
        remarks: Sentences on how the file was found.
    """

    file: SourceFile
    source: LongSource | PostgresSource
    others: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def rows(self, declaration: Declaration) -> SourceRows:
        """Returns the rows as a first load would read them."""
        match self.source:
            case LongSource():
                return read_long_source(replace(self.source, declaration=declaration), empty_tables())
            case PostgresSource():
                return read_long_queries(replace(self.source, declaration=declaration), empty_tables())


def find_sales(path: str) -> Sales:
    """Returns the sales of a folder, a file or a URL.

    Raises:
        UserError: There is no such file, or it cannot be read.
        ConnectionError: A server did not answer.
    """
    found = split_file(path)
    if found is not None:
        folder, name = found
        return Sales(_read(folder, name), LongSource(path=path))
    is_local = path.startswith("/")
    if is_local and not Path(path).is_dir():
        raise UserError("InvalidInput", f"there is no folder or file {path}")
    for ending in FILE_ENDINGS:
        name = f"sales.{ending}"
        data = read_object(path, name)
        if data is not None:
            others = _others(path) if is_local else ()
            return Sales(_parse(name, data), LongSource(path=path), others)
    files = _tables(path) if is_local else []
    if not files:
        raise UserError("BadData", f"{path} has no sales.csv, no sales.parquet and no other such file")
    largest = max(files, key=lambda file: file.stat().st_size)
    remark = f"the folder has no sales.csv; {largest.name} is its largest file, so load --data {largest}"
    return Sales(_read(path, largest.name), LongSource(path=str(largest)), remarks=(remark,))


def find_query(address_variable: str, query: str) -> Sales:
    """Returns the answer of a query.

    Raises:
        UserError: PostgreSQL refuses the query.
        ConnectionError: The database did not answer.
    """
    source = PostgresSource(address_variable=address_variable, sales=query)
    return Sales(read_query(address_variable, "sales", query, EVERY_COLUMN), source)


def declared_beside(sales: Sales) -> Declared | None:
    """Returns the declaration in the folder of the sales, or None if there is none."""
    if not isinstance(sales.source, LongSource) or split_file(sales.source.path) is not None:
        return None
    data = read_object(sales.source.path, DECLARATION_FILE)
    return None if data is None else declared_in_file(data)


def _read(folder: str, name: str) -> SourceFile:
    data = read_object(folder, name)
    if data is None:
        raise UserError("BadData", f"there is no file {folder}/{name}")
    return _parse(name, data)


def _parse(name: str, data: bytes) -> SourceFile:
    encoding: str = default(LongSource, "encoding")
    return parse_file(name, data, encoding, EVERY_COLUMN)


def _others(path: str) -> tuple[str, ...]:
    names = sorted(file.name for file in _tables(path))
    return tuple(name for name in names if name.split(".")[0] in _OTHERS)


def _tables(path: str) -> list[Path]:
    return [file for file in sorted(Path(path).iterdir()) if split_file(str(file)) is not None]
