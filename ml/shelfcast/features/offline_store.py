"""Offline store for Feast 0.67: Feast's ``postgres`` store with a corrected point-in-time join.

Feast's join names a row of entities by its keys and time, joined without a separator. Store 1, dept 12 and
store 11, dept 2 get the same name, and each of them the features of both. This store puts a space between the
keys. In Feast's configuration it is ``type: shelfcast.features.offline_store.PostgreSQLOfflineStore`` of
``offline_store``, with the settings of ``postgres``.

It changes the text of the query that Feast 0.67 generates, through the private ``_query_generator`` of the
retrieval job: the query lives only as long as a temporary table of entities, so ``to_sql()`` cannot be used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from feast.infra.offline_stores.contrib.postgres_offline_store import postgres
from feast.infra.offline_stores.offline_store import RetrievalJob

_JOINED, _SEPARATED = " as VARCHAR) ||\n", " as VARCHAR) || ' ' ||\n"


class PostgreSQLOfflineStoreConfig(postgres.PostgreSQLOfflineStoreConfig):  # type: ignore[misc]
    """Settings of Feast's ``postgres``."""

    type: Literal["shelfcast.features.offline_store.PostgreSQLOfflineStore"] = (
        "shelfcast.features.offline_store.PostgreSQLOfflineStore"
    )


class PostgreSQLOfflineStore(postgres.PostgreSQLOfflineStore):  # type: ignore[misc]
    """Feast's ``postgres`` store with a separator between the keys of the point-in-time join."""

    @staticmethod
    def get_historical_features(*args: Any, **options: Any) -> RetrievalJob:
        """Returns the retrieval job of Feast's store with a space after each key in its query."""
        job = postgres.PostgreSQLOfflineStore.get_historical_features(*args, **options)
        plain_query = job._query_generator

        @contextmanager
        def query_with_separators() -> Iterator[str]:
            with plain_query() as query:
                yield query.replace(_JOINED, _SEPARATED)

        job._query_generator = query_with_separators
        return job
