"""Session on the user's PostgreSQL that can read and do nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from shelfcast.database import is_transient, refused_connection
from shelfcast.job import UserError

_CONNECT_TIMEOUT_SECONDS = 10

#: Roles with which a SELECT can do harm in a read-only transaction: files, programs, sessions of others.
#: A member may take the role's rights within a SELECT, by set_config('role', ...).
_POWERFUL_ROLE = """
select rolname from pg_roles
where (rolsuper or rolname in (
    'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_signal_backend'
)) and pg_has_role(session_user, oid, 'member')
order by rolname <> session_user, not rolsuper, rolname limit 1
"""

#: Settings that make values the same text on every server. The order YMD lets PostgreSQL refuse a date like
#: 03.01.2020, which it would otherwise read in the server's order of day and month. The time zone of the
#: address or of the role is kept. As startup parameters these would replace the address's own ``options``,
#: and PgBouncer refuses them.
_SETTINGS = """
select set_config('client_encoding', 'UTF8', true), set_config('datestyle', 'ISO, YMD', true),
    set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '3', true),
    set_config('timezone', setting, true)
from (
    select case when source in ('client', 'session', 'user', 'database user') then setting else 'UTC' end
    from pg_settings where name = 'TimeZone'
) as zone (setting)
"""

#: Reason at the end of a line of libpq or psycopg; the text before it names the address.
_REASON = re.compile(r".*(?: failed| to address| to resolve host '[^']*'): *(.+)")


@contextmanager
def reading_session(address_variable: str) -> Iterator[psycopg.Connection]:
    """Opens a read-only transaction, which has ended after the block.

    Args:
        address_variable: Environment variable with the database's address, which libpq reads: several hosts,
            TLS and service files are set there.

    Raises:
        UserError: ``InvalidInput``: the variable is not set or holds no address, PostgreSQL refuses the
            connection, or the role can do more than read.
        ConnectionError: The database did not answer; another try may help.
    """
    with _connect(address_variable) as connection:
        connection.read_only = True
        powerful = connection.execute(_POWERFUL_ROLE).fetchone()
        if powerful is not None:
            raise UserError(
                "InvalidInput",
                f"the role of {address_variable} is or may become {powerful[0]}, which can do more than "
                "read; use a role of its own: create role shelfcast_reader login password '...'; grant usage "
                "on schema NAME to shelfcast_reader; grant select on all tables in schema NAME to "
                "shelfcast_reader",
            )
        connection.execute(_SETTINGS)
        yield connection


def _connect(variable: str) -> psycopg.Connection:
    address = os.environ.get(variable)
    if address is None:
        raise UserError(
            "InvalidInput",
            f"source.addressVariable: {variable} is not set where jobs run; it must name a "
            "PostgreSQL database, like postgresql://user:password@host:5432/database",
        )
    # No cause in these errors: libpq's texts quote parts of the address, also of its password.
    try:
        given = conninfo_to_dict(address)
        if "://" in address and "@" in f"{given.get('host')}{given.get('dbname')}":
            raise _unreadable(variable)
        has_timeout = "connect_timeout" in given or "PGCONNECT_TIMEOUT" in os.environ
        return psycopg.connect(address, connect_timeout=None if has_timeout else _CONNECT_TIMEOUT_SECONDS)
    except psycopg.OperationalError as error:
        reason = _reason(error)
        if reason is None:
            raise _unreadable(variable) from None
        if not is_transient(error):
            raise refused_connection(variable, reason) from None
        raise ConnectionError(f"no answer from the database of {variable}: {reason}") from None
    except psycopg.ProgrammingError:
        raise _unreadable(variable) from None


def _reason(error: psycopg.OperationalError) -> str | None:
    """Returns the reasons of all hosts without the address; None if libpq did not get to a host."""
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return "connection timeout expired"
    return "; ".join(dict.fromkeys(_REASON.findall(str(error)))) or None


def _unreadable(variable: str) -> UserError:
    return UserError(
        "InvalidInput",
        f"source.addressVariable: {variable} holds no address that libpq can use; write it like "
        "postgresql://user:password@host:5432/database, with %40 for @, %2F for /, %3A for : and %25 "
        f'for % in user and password; psql "${variable}" says more',
    )
