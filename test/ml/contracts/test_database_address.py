from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pooler
import pytest

from shelfcast.database import check_address, connect
from shelfcast.job import UserError

ADDRESSES = json.loads(
    (Path(__file__).parents[2] / "contracts" / "database-addresses.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("address", ADDRESSES["good"])
def test_addresses_that_every_program_reads(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("case", ADDRESSES["bad"], ids=lambda case: case["address"])
def test_addresses_that_programs_would_read_differently(case: dict[str, str]) -> None:
    with pytest.raises(UserError, match=f"^DATABASE_URL {re.escape(case['issue'])}") as raised:
        check_address(case["address"])
    assert raised.value.type == "InvalidInput"
    assert "word@host/" not in str(raised.value)


@pytest.mark.parametrize("ignores", [False, True])
def test_a_pooler_that_keeps_no_settings_is_refused(database_url: str, ignores: bool) -> None:
    parts = urlsplit(database_url)
    assert parts.hostname is not None
    assert parts.port is not None
    with pooler.pooler(parts.hostname, parts.port, ignores=ignores) as port:
        url = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")).geturl()
        with (
            pytest.raises(UserError, match=r"^DATABASE_URL leads to a pooler, like PgBouncer, .* itself$"),
            connect(url),
        ):
            pass
    with connect(database_url) as connection:
        assert connection.execute("select current_setting('timezone')").fetchone() == ("UTC",)
