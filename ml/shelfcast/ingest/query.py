"""Reader of a query on the user's PostgreSQL."""

from __future__ import annotations

import os

import psycopg
from psycopg import sql

from shelfcast.database import is_transient, refused_connection
from shelfcast.job import UserError

#: Session option that refuses queries that write.
_READ_ONLY = "-c default_transaction_read_only=on"


def read_query(address_variable: str, name: str, query: str) -> bytes:
    """Returns the result as CSV with a header; a null is an empty cell. The query may only read.

    Args:
        address_variable: Environment variable with the database's address: an address contains a password,
            which must not be part of a run's input.
        name: Name of the query, for messages.
        query: One SELECT.

    Raises:
        UserError: ``InvalidInput`` if the variable is not set or PostgreSQL refuses the connection,
            ``BadData`` if PostgreSQL refuses or cancels the query.
        ConnectionError: The database did not answer; another try may help.
    """
    address = os.environ.get(address_variable)
    if address is None:
        raise UserError(
            "InvalidInput",
            f"source.addressVariable: {address_variable} is not set where jobs run; it must name a "
            "PostgreSQL database, like postgresql://user:password@host:5432/database",
        )
    statement = sql.SQL("copy ({}) to stdout (format csv, header)").format(sql.SQL(query.strip().rstrip(";")))
    try:
        with (
            psycopg.connect(address, connect_timeout=10, options=_READ_ONLY) as connection,
            connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            return b"".join(copy)
    except psycopg.errors.QueryCanceled as error:
        raise UserError(
            "BadData",
            f"PostgreSQL cancels the query of {name}: {error}; make the query faster, or raise the "
            f"statement_timeout of the user of {address_variable}",
        ) from error
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and is_transient(error):
            raise ConnectionError(
                f"the query of {name} got no answer from the database of {address_variable}: {error}"
            ) from error
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            raise refused_connection(address_variable, error) from error
        raise UserError("BadData", f"PostgreSQL refuses the query of {name}: {error}") from error
