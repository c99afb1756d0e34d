"""What happens to rows that broke a rule: all are written down, and too many stop the load."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from shelfcast.job import UserError

#: Columns of bad-rows.csv. ``value`` is the cell (or cells, or the whole line) that broke the rule. A row
#: with two wrong cells is there twice.
FINDING = pa.schema(
    [
        ("file", pa.string()),
        ("line", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("rule", pa.string()),
    ]
)
_COMMONEST_RULES = 3
_EXAMPLES = 5


def check_bad_rows(findings: pa.Table, row_count: int, max_share: float, report: Path) -> int:
    """Writes the findings to ``report`` as CSV, if there are any, and returns the number of bad rows.

    Raises:
        UserError: ``BadData`` when more than ``max_share`` of all rows are bad.
    """
    if len(findings) == 0:
        return 0
    findings = findings.sort_by([(name, "ascending") for name in ("file", "line", "column")])
    csv.write_csv(findings, report)
    bad_rows = len(findings.group_by(["file", "line"]).aggregate([]))
    share = bad_rows / row_count
    if share > max_share:
        raise UserError(
            "BadData",
            f"{bad_rows} of {row_count} source rows ({share:.2%}) are bad and maxBadRowShare allows "
            f"{max_share:.2%}; nothing was loaded. {_commonest(findings)}. All of them are in {report}. "
            "Correct the rows, or raise maxBadRowShare to load the others without them.",
        )
    return bad_rows


def _commonest(findings: pa.Table) -> str:
    sentences = []
    for rule, count in Counter(findings.column("rule").to_pylist()).most_common(_COMMONEST_RULES):
        broken = findings.filter(pc.equal(findings.column("rule"), rule)).slice(0, _EXAMPLES).to_pylist()
        examples = (
            f"{f['file']}:{f['line']} {f['column']} {f['value']!r}".replace("  ", " ") for f in broken
        )
        sentences.append(f"{count} x {rule} ({', '.join(examples)})")
    return "; ".join(sentences)
