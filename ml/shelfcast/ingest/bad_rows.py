"""Rows that broke a rule: all are written down, and counted by rule."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.quality_rules import ROW_RULES

#: What is known of a broken rule. ``value`` is the cell (or cells, or the whole line) that broke it, ``rule``
#: what the row must be in words, ``name`` the rule of ``quality_rules``. A row with two wrong cells is there
#: twice.
FINDING = pa.schema(
    [
        ("file", pa.string()),
        ("line", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("rule", pa.string()),
        ("name", pa.string()),
    ]
)
_SHOWN_CHARACTERS = 80


def write_bad_rows(findings: pa.Table, report: Path) -> int:
    """Writes the findings to ``report`` as CSV, if there are any, and returns the number of bad rows."""
    if len(findings) == 0:
        return 0
    csv.write_csv(_sorted(findings), report)
    return len(findings.group_by(["file", "line"]).aggregate([]))


def check_rows(findings: pa.Table, bad_rows: int, row_count: int, max_share: float) -> list[Check]:
    """Returns what came of every rule of one row, and of their share (0 to 1) of all rows."""
    share = bad_rows / row_count
    is_too_much = share > max_share
    found = _sorted(findings)
    return [
        *(_check(rule.name, found.filter(pc.equal(found["name"], rule.name))) for rule in ROW_RULES),
        Check(
            "bad-row-share",
            bad_rows if is_too_much else 0,
            _examples(found) if is_too_much else (),
            f"{bad_rows} of {row_count} source rows ({share:.2%}) are bad and maxBadRowShare allows "
            f"{max_share:.2%}",
        ),
    ]


def _check(name: str, findings: pa.Table) -> Check:
    rows = len(findings.group_by(["file", "line"]).aggregate([]))
    return Check(name, rows, _examples(findings))


def _shown(value: str) -> str:
    """A cell may be a whole line; messages and workflow histories take no megabytes."""
    return repr(value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "...")


def _examples(findings: pa.Table) -> list[str]:
    return [
        f"{f['file']}:{f['line']} {_shown(f['value'])}: {f['rule']}"
        for f in findings.slice(0, EXAMPLES).to_pylist()
    ]


def _sorted(findings: pa.Table) -> pa.Table:
    return findings.sort_by([(name, "ascending") for name in ("file", "line", "column")])
