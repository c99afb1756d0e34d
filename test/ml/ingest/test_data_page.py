from __future__ import annotations

import re
from pathlib import Path

from shelfcast.ingest.quality_rules import RULES


def test_the_page_about_data_has_every_rule_as_it_is() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` +\| (error|warning) +\| (.*?) +\|$", page, re.MULTILINE)
    assert rows == [(rule.name, rule.severity, rule.text) for rule in RULES]
