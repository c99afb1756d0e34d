"""The file of sales of a folder, a URL or a query, with all of its columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from shelfcast.contracts.specs import Declaration, LongSource, PostgresSource
from shelfcast.contracts.wire import default
from shelfcast.ingest.declaration import DECLARATION_FILE, Declared, declared_in_file
from shelfcast.ingest.location import FILE_ENDINGS, Folder, read_object, split_file
from shelfcast.ingest.long_source import (
    other_files,
    parse_file,
    path_of,
    read_long_queries,
    read_long_source,
)
from shelfcast.ingest.query import read_query
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.ingest.source_url import shown_url
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


def find_sales(path: str, sheet: str | None = None) -> Sales:
    """Returns the sales of a folder, a file or a URL.

    Args:
        path: Path or URL.
        sheet: Sheet of a workbook, instead of the one that the folder's shelfcast.json declares.

    Raises:
        UserError: There is no such file, or it cannot be read.
        ConnectionError: A server did not answer.
    """
    found = split_file(path)
    if found is not None:
        return Sales(_read(*found, sheet), LongSource(path=path))
    if path.startswith("/") and not Path(path).is_dir():
        if Path(path).exists():
            raise UserError(
                "BadData",
                f"{path} must end in {', '.join(FILE_ENDINGS[:-1])} or {FILE_ENDINGS[-1]}; save another "
                "workbook as .xlsx",
            )
        raise UserError("InvalidInput", f"there is no folder or file {path}")
    folder = Folder(path)
    sheet = sheet or declared_in_file(folder.read(DECLARATION_FILE)).declaration.sheet
    sales = folder.find(*(f"sales.{ending}" for ending in FILE_ENDINGS))
    if sales is not None:
        return Sales(_parse(*sales, sheet), LongSource(path=path), _others(folder))
    if not folder.tables() or not path.startswith("/"):
        raise UserError(
            "BadData",
            f"{folder.shown} has no sales.csv, sales.parquet or sales.xlsx and no other such file; "
            f"{other_files(folder)}docs/data.md describes the files",
        )
    largest = max((Path(path) / name for name in folder.tables()), key=lambda file: file.stat().st_size)
    remark = f"the folder has no sales.csv; {largest.name} is its largest file, so load --data {largest}"
    return Sales(_read(path, largest.name, sheet), LongSource(path=str(largest)), remarks=(remark,))


def find_url(address_variable: str, sheet: str | None = None) -> Sales:
    """Returns the sales behind the URL of a variable.

    Raises:
        UserError: The variable holds no URL, or there is no such file, or it cannot be read.
        ConnectionError: The server did not answer.
    """
    source = LongSource(address_variable=address_variable)
    return replace(find_sales(path_of(source), sheet), source=source)


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
    if not isinstance(sales.source, LongSource):
        return None
    path = path_of(sales.source)
    data = Folder(path).read(DECLARATION_FILE) if split_file(path) is None else None
    return None if data is None else declared_in_file(data)


def _read(folder: str, name: str, sheet: str | None) -> SourceFile:
    data = read_object(folder, name)
    if data is None:
        raise UserError("BadData", f"there is no file {shown_url(folder)}/{name}")
    return _parse(name, data, sheet)


def _parse(name: str, data: bytes, sheet: str | None) -> SourceFile:
    encoding: str = default(LongSource, "encoding")
    return parse_file(name, data, encoding, replace(EVERY_COLUMN, sheet=sheet))


def _others(folder: Folder) -> tuple[str, ...]:
    return tuple(name for name in folder.tables() if name.split(".")[0].lower() in _OTHERS)
