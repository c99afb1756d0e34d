"""What every source comes to, whatever its layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from shelfcast.ingest.sheet import Sheet


@dataclass(frozen=True)
class SourceRows:
    """What a source holds.

    Attributes:
        tables: Its good rows, by name of the table in ``shelfcast.snapshot``, in the order of the files.
        findings: What broke rules, with the columns of ``bad_rows.FINDING``.
        row_count: Rows of all files, good and bad.
        unread: Columns of its files that are not read, each with its file.
    """

    tables: dict[str, pa.Table]
    findings: pa.Table
    row_count: int
    unread: list[str]


def source_rows(tables: dict[str, pa.Table], sheets: Sequence[Sheet]) -> SourceRows:
    """Returns the tables with what the sheets that they come from had."""
    return SourceRows(
        tables,
        pa.concat_tables([finding for sheet in sheets for finding in sheet.findings]),
        sum(sheet.row_count for sheet in sheets),
        [column for sheet in sheets for column in sheet.unread],
    )
