"""Report of bad rows: a file with all of them, and their number by rule."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.quality_rules import ROW_RULES

#: Schema of the findings. ``value`` is the cell (or cells, or the whole line) that broke a rule, ``rule`` the
#: rule in words, ``name`` its name in ``quality_rules``. A row with two wrong cells has two findings.
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
    """Writes the findings to ``report`` as CSV if there are any; returns the number of bad rows."""
    if len(findings) > 0:
        csv.write_csv(_sorted(findings), report)
    return _count(findings)


def check_rows(findings: pa.Table, row_count: int, max_share: float) -> list[Check]:
    """Returns the check of every rule for single rows, and of the share of bad rows (0 to 1)."""
    bad_rows = _count(findings)
    share = bad_rows / row_count
    is_above_limit = share > max_share
    return [
        *(_check(rule.name, findings.filter(pc.equal(findings["name"], rule.name))) for rule in ROW_RULES),
        Check(
            "bad-row-share",
            bad_rows if is_above_limit else 0,
            examples(findings) if is_above_limit else (),
            f"{bad_rows} of {row_count} source rows ({share:.2%}) are bad and maxBadRowShare allows "
            f"{max_share:.2%}",
        ),
    ]


def _check(name: str, findings: pa.Table) -> Check:
    return Check(name, _count(findings), examples(findings))


def _count(findings: pa.Table) -> int:
    """Returns the number of rows: a row with two wrong cells has two findings."""
    return len(findings.group_by(["file", "line"]).aggregate([]))


def _shown(value: str) -> str:
    """Returns the value, shortened: a cell may be a whole line, and messages go into workflow histories."""
    return repr(value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "...")


def examples(findings: pa.Table) -> list[str]:
    """Returns the first findings in words."""
    return [
        f"{f['file']}:{f['line']} {_shown(f['value'])}: {f['rule']}"
        for f in _sorted(findings).slice(0, EXAMPLES).to_pylist()
    ]


def _sorted(findings: pa.Table) -> pa.Table:
    return findings.sort_by([(name, "ascending") for name in ("file", "line", "column")])
