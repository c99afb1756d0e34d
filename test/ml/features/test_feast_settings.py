"""Feast's configuration, made from the address of the database."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from feast import RepoConfig
from feast.infra.utils.postgres.connection_utils import _get_conn_kwargs
from sqlalchemy import make_url

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


def test_every_character_of_a_password_reaches_feast() -> None:
    password = r"""p@ss:w/o#r?d%+&=;,'!$()*~ [ä]"""
    url = f"postgresql://u:{quote(password, safe='')}@h/d?sslmode=require"
    made = settings("p", url)
    assert (made["online_store"]["password"], made["offline_store"]["password"]) == (password, password)
    registry = make_url(made["registry"]["path"])
    assert (registry.password, registry.host, registry.database) == (password, "h", "d")
    assert registry.query == {"sslmode": "require", "options": "-csearch_path=feast_registry"}


def test_an_address_that_feast_cannot_use_gets_a_sentence() -> None:
    with (
        pytest.raises(UserError, match=r"^DATABASE_URL must name one host"),
        open_store("p", "postgresql://u@a:1,b:2/d"),
    ):
        pass
