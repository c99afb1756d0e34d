"""Feast's offline store on PostgreSQL, which tells apart series whose numbers read alike.

In Feast's configuration it is ``type: shelfcast.features.offline_store.PostgreSQLOfflineStore`` of
``offline_store``, with the settings of Feast's own ``postgres``.
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
    """Feast's, but for one thing in the point-in-time join.

    Feast's (0.67) names a row of entities by its keys and its time one after the other, so that store 1, dept
    12 and store 11, dept 2 have one name, and each of them gets the features of both.
    """

    @staticmethod
    def get_historical_features(*args: Any, **options: Any) -> RetrievalJob:
        """Returns the job of Feast's store, whose query puts a space after each key."""
        job = postgres.PostgreSQLOfflineStore.get_historical_features(*args, **options)
        joining = job._query_generator

        @contextmanager
        def separating() -> Iterator[str]:
            with joining() as query:
                yield query.replace(_JOINED, _SEPARATED)

        job._query_generator = separating
        return job
