"""Feast's configuration, made from the address of the database."""

from __future__ import annotations

import pytest
from feast import RepoConfig
from feast.infra.utils.postgres.connection_utils import _get_conn_kwargs

from shelfcast.features.feast_repository import open_store, settings
from shelfcast.job import UserError


@pytest.mark.parametrize("store", ["offline_store", "online_store"])
def test_certificates_reach_feast_s_connections(store: str) -> None:
    files = {"sslrootcert": "/ca.pem", "sslcert": "/client.pem", "sslkey": "/client.key"}
    query = "&".join(f"{name}={path}" for name, path in files.items())
    config = RepoConfig(**settings("p", f"postgresql://u:p@h:5/d?sslmode=verify-full&{query}"))
    wanted = {"sslmode": "verify-full", **files}
    assert _get_conn_kwargs(getattr(config, store)).items() >= wanted.items()


def test_without_certificates_there_are_none() -> None:
    config = RepoConfig(**settings("p", "postgresql://u@h/d")).online_store
    kwargs = _get_conn_kwargs(config)
    assert (kwargs["sslmode"], kwargs["sslrootcert"], kwargs["sslcert"]) == ("prefer", None, None)
    assert (config.port, config.password) == (5432, "")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql:///d", "lacks host, user"),
        ("postgresql://h/d", "lacks user"),
        ("postgresql://u@h", "lacks dbname"),
        ("postgresql://u@h/d?nonsense=1", "is not an address"),
        ("host=h dbname=d user=u", "is not an address"),
        ("mysql://u@h/d", "is not an address"),
    ],
)
def test_an_address_that_feast_cannot_use_gets_a_sentence(url: str, says: str) -> None:
    with (
        pytest.raises(UserError, match=f"^DATABASE_URL {says}; Feast needs one like postgresql://"),
        open_store("p", url),
    ):
        pass
