"""Rows and findings of a source, whatever its layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ingest.days import PartialWeeks
from shelfcast.ingest.holiday_rows import LoadHolidays
from shelfcast.ingest.numbering import Numbering
from shelfcast.ingest.sheet import Sheet
from shelfcast.snapshot import IDS, STORES


@dataclass(frozen=True)
class SourceRows:
    """Content of a source.

    Attributes:
        tables: Good rows by table name of ``shelfcast.snapshot``, in the order of the files.
        findings: Findings about bad rows, with the columns of ``bad_rows.FINDING``.
        row_count: Number of rows of all files, good and bad.
        unread: Columns of the files that are not read, as ``<file>: <column>``.
        notes: Sentences on how the files were read.
        similar_ids: Sentences about ids that are like others.
        holidays: Holidays that the source names.
        time_zone: Zone of the stores; None if it is not declared.
        unit: Unit of the sales; None if it is not declared.
        partial_weeks: Weeks of days that were left out, since they are not whole.
        totals: Sentences about the rows of declared totals, which were left out.
        empty_sales: Rows without a value of sales, which were left out, in words.
    """

    tables: dict[str, pa.Table]
    findings: pa.Table
    row_count: int
    unread: list[str]
    notes: list[str]
    similar_ids: list[str]
    holidays: LoadHolidays
    time_zone: str | None = None
    unit: str | None = None
    partial_weeks: PartialWeeks = field(default_factory=PartialWeeks)
    totals: tuple[str, ...] = ()
    empty_sales: tuple[str, ...] = ()


def source_rows(
    tables: dict[str, pa.Table],
    sheets: Sequence[Sheet],
    numbering: Numbering,
    similar_ids: list[str],
    holidays: LoadHolidays,
) -> SourceRows:
    """Returns the tables and new ids together with the findings of the sheets that they come from."""
    numbering.add("type", pc.unique(tables[STORES.name]["type"].drop_null()).to_pylist())
    return SourceRows(
        tables | {IDS.name: numbering.rows(tables)},
        pa.concat_tables([finding for sheet in sheets for finding in sheet.findings]),
        sum(sheet.row_count for sheet in sheets),
        [column for sheet in sheets for column in sheet.unread],
        [note for sheet in sheets for note in sheet.notes],
        similar_ids,
        holidays,
    )
