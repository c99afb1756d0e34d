"""PostgreSQL: connections, and COPY of Arrow tables."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv

from shelfcast.job import UserError

#: Rows that are converted to text at a time; the number bounds memory and hardly affects speed.
_COPY_ROWS = 65_536

#: SQLSTATE classes that another try may get past: lost connection, rollback, lack of resources, shutdown.
_TRANSIENT = ("08", "40", "53", "57P")
#: Words of a refused connection, for which psycopg has no SQLSTATE; in another language it is transient.
_REFUSED = re.compile(
    r'authentication failed|no password supplied|pg_hba\.conf|(database|role) ".*" does not exist'
    r"|not permitted to log in|permission denied|SSL was required|unsupported startup parameter"
    r"|root certificate file|server certificate|certificate verify failed"
)


@contextmanager
def connect(url: str) -> Iterator[psycopg.Connection]:
    """Opens a connection in UTC; commits at the end of the block, rolls back when it raises.

    Raises:
        ConnectionError: The server did not answer; another try may help.
        UserError: ``InvalidInput``: the server refuses user, password or database.
    """
    try:
        connection = psycopg.connect(url, connect_timeout=10, options="-c timezone=UTC")
    except psycopg.OperationalError as error:
        if not is_transient(error):
            raise refused_connection("DATABASE_URL", error) from error
        raise ConnectionError(f"cannot connect to PostgreSQL (DATABASE_URL): {error}") from error
    with connection:
        yield connection


def is_transient(error: psycopg.OperationalError) -> bool:
    """Whether another try may help."""
    if error.sqlstate is None:
        return _REFUSED.search(str(error)) is None
    return error.sqlstate.startswith(_TRANSIENT)


def refused_connection(variable: str, error: psycopg.OperationalError | str) -> UserError:
    """Returns the error of an address that PostgreSQL refuses.

    Args:
        variable: Environment variable that holds the address.
        error: Answer of PostgreSQL.
    """
    return UserError(
        "InvalidInput", f"PostgreSQL refuses the connection of {variable}: {error}; correct the address"
    )


def lock(connection: psycopg.Connection, name: str) -> None:
    """Takes the advisory lock of that name, waiting for it; it is released at the end of the transaction."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def identifiers(names: Iterable[str], table: str | None = None) -> sql.Composed:
    """Returns names as an SQL list; as columns of ``table`` if it is given."""
    qualified = ([name] if table is None else [table, name] for name in names)
    return sql.SQL(", ").join(sql.Identifier(*parts) for parts in qualified)


def column_types(connection: psycopg.Connection, table: sql.Identifier) -> dict[str, str]:
    """Returns a table's columns in order with their types; empty if there is no such table.

    Types have PostgreSQL's own names: ``timestamp with time zone not null``, not ``timestamptz``.
    """
    rows = connection.execute(
        """
        select attname, format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end
        from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
        """,
        [table.as_string(connection)],
    )
    return dict(rows.fetchall())


def copy_table(connection: psycopg.Connection, table: sql.Composable, rows: pa.Table) -> None:
    """Copies an Arrow table into columns of the same names. An Arrow null becomes NULL."""
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(table, identifiers(rows.column_names))
    options = csv.WriteOptions(include_header=False)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in rows.to_batches(max_chunksize=_COPY_ROWS):
            text = io.BytesIO()
            csv.write_csv(batch, text, options)
            copy.write(text.getbuffer())
