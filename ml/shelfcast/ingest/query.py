"""Reader of a query on the user's PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.types.string import TextLoader

from shelfcast.database import is_transient
from shelfcast.ingest.column_search import ColumnSearch
from shelfcast.ingest.reading_session import reading_session
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError

#: Rows that are converted at a time; the number bounds memory and hardly affects speed.
_ROWS = 16_384

#: Errors of a cursor for anything but a SELECT, and for WITH that writes.
_NO_CURSOR = (psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported)

_TIMESTAMP_WITH_TIME_ZONE = psycopg.adapters.types["timestamptz"].oid


def read_query(address_variable: str, name: str, query: str, search: ColumnSearch) -> SourceFile:
    """Reads the columns that are searched for as text; a null is an empty cell.

    Rows have the line numbers that they would have in a CSV file.

    Args:
        address_variable: Environment variable with the database's address: an address contains a password,
            which must not be part of a run's input.
        name: Name of the query, for messages.
        query: One SELECT.
        search: Columns that must be there or may be there.

    Raises:
        UserError: ``InvalidInput`` if the address cannot be used, ``BadData`` if PostgreSQL refuses or
            cancels the query, or a column or all rows are missing.
        ConnectionError: The database did not answer; another try may help.
    """
    where = f"query of {name}"
    with _explained_errors(address_variable, where), reading_session(address_variable) as connection:
        types = _describe(connection, where, query.encode())
        names = [column for column, _ in types]
        found = search.find(where, names)
        if not search.has_time_zone:
            _check_zones(where, dict(types), found.used)
        cells = _read(connection, query.encode(), types, found.used)
    row_count = len(cells[found.used[0]])
    if row_count == 0 and not search.may_be_empty:
        raise UserError("BadData", f"the {where} returns no rows")
    return SourceFile(
        where,
        found.cells(cells, row_count),
        found.labels,
        np.arange(2, row_count + 2),
        tuple(found.constants),
        unread=tuple(search.unread(names, found)),
    )


@contextmanager
def _explained_errors(address_variable: str, where: str) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise UserError(
            "BadData",
            f"PostgreSQL cancels the {where}: {error}; make the query faster, or raise the "
            f"statement_timeout of the user of {address_variable}",
        ) from error
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and is_transient(error):
            raise ConnectionError(
                f"the {where} got no answer from the database of {address_variable}: {error}"
            ) from error
        raise UserError("BadData", f"PostgreSQL refuses the {where}: {error}") from error


def _describe(connection: psycopg.Connection, where: str, query: bytes) -> list[tuple[str, int]]:
    """Returns name and type of each column if PostgreSQL takes the text for one SELECT; nothing is executed.

    A prepared statement is exactly one statement. COPY and COMMIT can be prepared, too, but a cursor can be
    declared only for SELECT, WITH, VALUES and TABLE that do not write.
    """
    _prepare(connection, query)
    description = connection.pgconn.describe_prepared(b"")
    if description.nparams > 0:
        raise UserError("BadData", f"the {where} has parameters like $1; write their values into it")
    try:
        _prepare(connection, b"declare shelfcast cursor for " + query)
    except _NO_CURSOR as error:
        raise UserError(
            "BadData",
            f"the {where} must be one SELECT that only reads; PostgreSQL says: {error.diag.message_primary}",
        ) from error
    names = [description.fname(column) or b"" for column in range(description.nfields)]
    return [(name.decode().strip(), description.ftype(column)) for column, name in enumerate(names)]


def _prepare(connection: psycopg.Connection, statement: bytes) -> None:
    result = connection.pgconn.prepare(b"", statement)
    if result.status != ExecStatus.COMMAND_OK:
        raise error_from_result(result, "utf-8")


def _check_zones(where: str, types: dict[str, int], used: tuple[str, ...]) -> None:
    for column in used:
        if types[column] == _TIMESTAMP_WITH_TIME_ZONE:
            raise UserError(
                "BadData",
                f"the {where} returns {column} as a timestamp with time zone, whose day depends on the zone; "
                f"name the zone: (sold_at at time zone 'Europe/Berlin')::date as {column}, or "
                "declare timeZone",
            )


def _read(
    connection: psycopg.Connection, query: bytes, types: list[tuple[str, int]], used: tuple[str, ...]
) -> dict[str, pa.Array]:
    """Returns the used columns as text. The rows pass as they arrive: only these columns stay in memory."""
    names = [name for name, _ in types]
    chunks: dict[str, list[pa.Array]] = {name: [] for name in used}
    with connection.cursor() as cursor:
        for _, type_ in types:
            cursor.adapters.register_loader(type_, TextLoader)
        rows = cursor.stream(query, size=_ROWS)
        while batch := list(islice(rows, _ROWS)):
            cells = list(zip(*batch, strict=True))
            for name in used:
                text = pa.array(cells[names.index(name)], pa.string())
                chunks[name].append(pc.utf8_trim_whitespace(text.fill_null("")))
    return {name: pa.chunked_array(chunks.pop(name), pa.string()).combine_chunks() for name in used}
