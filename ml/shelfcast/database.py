"""PostgreSQL: connections, and COPY of Arrow tables."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

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


_TEXT = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_ADDRESS = re.compile(
    rf"postgres(?:ql)?://{_TEXT}+(?::{_TEXT}*)?@([^@/?#\s]*)/{_TEXT}+(?:\?((?:{_TEXT}|[/:@])*))?"
)
_TLS_MODES = ("disable", "require", "verify-ca", "verify-full")
#: Parameters that every program reads.
_PARAMETERS = ("host", "sslmode", "sslrootcert", "sslcert", "sslkey", "application_name")
#: Setting without a meaning, by which a program sees that its session is its own.
_SESSION_SETTING = "shelfcast.session"
_POOLER = (
    "DATABASE_URL leads to a pooler, like PgBouncer, that does not keep a session's settings, which features "
    "and migrations need; give the address of PostgreSQL itself"
)


@contextmanager
def connect(url: str) -> Iterator[psycopg.Connection]:
    """Opens a connection in UTC; commits at the end of the block, rolls back when it raises.

    Raises:
        ConnectionError: The server did not answer; another try may help.
        UserError: ``InvalidInput``: the address cannot be used, or the server refuses user, password or
            database.
    """
    check_address(url)
    options = f"-c timezone=UTC -c {_SESSION_SETTING}=kept"
    try:
        connection = psycopg.connect(url, connect_timeout=10, options=options)
    except psycopg.OperationalError as error:
        if "unsupported startup parameter" in str(error):
            raise UserError("InvalidInput", _POOLER) from error
        if not is_transient(error):
            raise refused_connection("DATABASE_URL", error) from error
        raise ConnectionError(f"cannot connect to PostgreSQL (DATABASE_URL): {error}") from error
    with connection:
        kept = connection.execute("select current_setting(%s, true)", [_SESSION_SETTING]).fetchone()
        if kept != ("kept",):
            raise UserError("InvalidInput", _POOLER)
        connection.rollback()
        yield connection


def check_address(url: str) -> None:
    """Refuses an address that libpq, SQLAlchemy and Node.js would not read alike.

    ``contracts/database-address.ts`` has the same rules for the other programs.

    Raises:
        UserError: ``InvalidInput``: the address breaks a rule; the message does not quote it.
    """
    issue = _address_issue(url)
    if issue is not None:
        raise UserError("InvalidInput", f"DATABASE_URL {issue}")


def _address_issue(url: str) -> str | None:
    match = _ADDRESS.fullmatch(url)
    options = parse_qs(match[2] or "", keep_blank_values=True) if match is not None else {}
    if match is None or not (match[1] or "host" in options):
        return (
            "must be an address like postgresql://user:password@host:5432/database, without blanks and line "
            "breaks, with %40 for @, %2F for /, %3A for :, %23 for #, %3F for ? and %25 for % in user and "
            "password"
        )
    if any("," in host for host in (match[1], *options.get("host", ()))):
        return (
            "must name one host, which always leads to the primary, like the Service of an operator or a "
            "proxy"
        )
    if options.get("sslmode", ["disable"])[0] not in _TLS_MODES:
        return f"must have one of sslmode={', '.join(_TLS_MODES)}, or none"
    if "options" in options:
        return (
            "must have no options, since programs set their own; give yours to the role: "
            "alter role NAME set SETTING = VALUE"
        )
    if any(name not in _PARAMETERS or len(values) > 1 for name, values in options.items()):
        return f"may have only the parameters {', '.join(_PARAMETERS)}, each once"
    if options.get("sslrootcert") == ["system"]:
        return (
            "must name a file as sslrootcert; programs that are not of libpq do not know sslrootcert=system"
        )
    return None


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
