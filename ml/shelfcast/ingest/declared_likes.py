"""Column of stores and of items that says which other store or department a new one is like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.features.likes import Likes
from shelfcast.ids import Ids
from shelfcast.ingest.cell_rules import ID_OR_MISSING, MISSING
from shelfcast.ingest.numbering import Numbering
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.sheet import Layout, Sheet
from shelfcast.ingest.source_ids import known_ids
from shelfcast.ingest.summed_days import FileName
from shelfcast.levels import LevelOf
from shelfcast.snapshot import (
    ALL_WEEKS,
    DATA_SET_AS_A_WHOLE,
    EXTRAS,
    LIKE_ROWS,
    MERGES,
    SALES,
    STORE_AS_A_WHOLE,
    merged_rows,
)

Tables = Mapping[str, pa.Table]

ROLE = "like"
#: Role of both files. It counts only where it is declared.
LAYOUT: Layout = {ROLE: (ROLE, ID_OR_MISSING)}
#: Key of each file that may have the column.
FILES: Mapping[FileName, LevelOf] = {"stores": "store", "items": "dept"}


def like_rows(sheets: Mapping[FileName, Sheet], numbering: Numbering) -> pa.Table:
    """Returns rows of ``EXTRAS`` for what stores and departments are like, null where they are like none.

    Rows of the sheets that name an unknown one, or themselves, are rejected; call it before their values are
    taken.

    Args:
        sheets: Good rows by file, ids as numbers.
        numbering: Numbers of all ids.
    """
    tables = [EXTRAS.schema.empty_table()]
    for file, of in FILES.items():
        sheet = sheets.get(file)
        if sheet is None or ROLE not in sheet.values.column_names:
            continue
        numbers = numbering.of(of)
        none = {None, *MISSING}.difference(numbers)
        texts = sheet.values[ROLE].to_pylist()
        read = known_ids(set(texts) - none, numbers)
        unknown = np.array([text not in none and text not in read for text in texts], dtype=bool)
        what = "a store" if of == "store" else "a department"
        sheet.reject(unknown, (ROLE,), f"{sheet.labels[ROLE]} must be {what} of the data, or NA", "like")
        other = [None if t in none else numbers[read[t]] for t in sheet.values[ROLE].to_pylist()]
        itself = np.array(other, dtype=object) == sheet.values[of].to_numpy()
        sheet.reject(itself, (ROLE,), f"{sheet.labels[ROLE]} must be another one", "like")
        kept = [number for number, same in zip(other, itself, strict=True) if not same]
        tables.append(_rows(of, sheet.values[of], kept))
    return pa.concat_tables(tables)


def check_likes(tables: Tables, known: Tables, ids: Ids) -> Check:
    """Checks that each store or department without sales, of the load, is like one with sales."""
    sentences = list(_without_sales(tables, known, ids))
    return Check("like-without-sales", len(sentences), sentences[:EXAMPLES])


def _without_sales(tables: Tables, known: Tables, ids: Ids) -> Iterator[str]:
    merges = pa.concat_tables([known[MERGES.name], tables[MERGES.name]])
    likes = Likes.of(merged_rows(EXTRAS, tables[EXTRAS.name], merges))
    pairs: dict[LevelOf, Mapping[int, int]] = {"store": likes.stores, "dept": likes.departments}
    for of, others in pairs.items():
        sold = {number for rows in (tables, known) for number in pc.unique(rows[SALES.name][of]).to_pylist()}
        for new, other in others.items():
            if new not in sold and other not in sold:
                yield (
                    f"{of} {ids.id(of, new)!r} is like {ids.id(of, other)!r}, which has no sales, so "
                    + ("its history is estimated" if of == "store" else "it has no estimated history")
                )


def _rows(of: LevelOf, numbers: pa.ChunkedArray, others: list[int | None]) -> pa.Table:
    count = len(numbers)
    constants = {"store": DATA_SET_AS_A_WHOLE, "dept": STORE_AS_A_WHOLE}
    columns = {
        "name": pa.repeat(LIKE_ROWS[of], count),
        **{key: pa.repeat(constant, count) for key, constant in constants.items()},
        of: numbers,
        "week": pa.repeat(ALL_WEEKS, count),
        "value": pa.array(others, pa.float64()),
    }
    return pa.table({key: columns[key] for key in EXTRAS.schema.names}).cast(EXTRAS.schema)
