"""Levels in the files of a load: members of stores and departments, and declared totals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.contracts.specs import Totals
from shelfcast.ids import Ids
from shelfcast.ingest.cell_rules import TYPE
from shelfcast.ingest.column_search import same_name
from shelfcast.ingest.declaration import Declared
from shelfcast.ingest.declared_likes import ROLE
from shelfcast.ingest.numbering import Numbering
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.sheet import Layout, Sheet
from shelfcast.ingest.source_ids import known_ids
from shelfcast.ingest.summed_days import FileName
from shelfcast.job import UserError
from shelfcast.levels import LevelOf
from shelfcast.snapshot import LEVELS, SALES

#: Key of each file that may have the column of a level.
_KEYS: dict[FileName, LevelOf] = {"stores": "store", "items": "dept"}
_TYPE = "type"


@dataclass(frozen=True)
class LevelColumn:
    """Column with the members of a declared level.

    Attributes:
        level: Name of the level.
        file: File with the column.
        column: The user's name of the column.
    """

    level: str
    file: FileName
    column: str

    @property
    def value(self) -> str:
        """Name of the value in the layout of the file; no covariate has a colon in its name."""
        return f"level:{self.level}"


def level_columns(declared: Declared) -> list[LevelColumn]:
    """Returns the columns of the declared levels."""
    return [
        LevelColumn(level, file, column)
        for level, text in (declared.declaration.levels or {}).items()
        for file in _KEYS
        for name, _, column in [text.partition(".")]
        if name == file
    ]


def reads_items(declared: Declared) -> bool:
    """Whether a declared level, or what departments are like, may have its column in the file of items."""
    return bool(declared.columns(ROLE)) or any(level.file == "items" for level in level_columns(declared))


def columns_of_levels(file: FileName, declared: Declared) -> dict[str, str]:
    """Returns the column of each value of the file that is read for a level alone."""
    return {
        level.value: level.column
        for level in level_columns(declared)
        if level.file == file and not _is_type(level, declared)
    }


def layout_of_levels(file: FileName, declared: Declared) -> Layout:
    """Returns the values of the file that are read for a level alone."""
    return {value: (value, TYPE) for value in columns_of_levels(file, declared)}


def level_rows(
    sheets: Mapping[FileName, Sheet], declared: Declared, known: Mapping[str, pa.Table]
) -> pa.Table:
    """Returns the rows of ``LEVELS`` of the load.

    Args:
        sheets: Good rows by file, ids as numbers.
        declared: Declaration of the source.
        known: Rows of the data set's newest snapshot by table name.

    Raises:
        UserError: A level has no file in this load and in no earlier one, or was of another key.
    """
    earlier = {row["level"]: row["of"] for row in known[LEVELS.name].to_pylist()}
    tables = [LEVELS.schema.empty_table()]
    for level in level_columns(declared):
        of, sheet = _KEYS[level.file], sheets.get(level.file)
        if earlier.get(level.level, of) != of:
            reason = f"the data set has this level of {earlier[level.level]}s; give the new one another name"
            raise _error(declared, level, reason)
        if sheet is not None:
            members = sheet.values[_TYPE if _is_type(level, declared) else level.value]
            rows = {
                "level": pa.repeat(level.level, len(members)),
                "of": pa.repeat(of, len(members)),
                "number": sheet.values[of],
                "member": members,
            }
            tables.append(pa.table(rows).cast(LEVELS.schema))
        elif level.level not in earlier:
            raise _error(declared, level, f"the source has no {level.file}; add {level.file}.csv")
    return pa.concat_tables(tables)


def leave_out_totals(sheets: Mapping[FileName, Sheet], declared: Declared) -> list[str]:
    """Removes the rows of declared totals from all files, ids still being text; returns sentences on them."""
    sentences = []
    for of, ids in _declared_totals(declared).items():
        found = set()
        for sheet in sheets.values():
            if not ids or of not in sheet.values.column_names:
                continue
            texts = sheet.values[of]
            spelled = known_ids(pc.unique(texts).drop_null().to_pylist(), ids)
            left_out = sheet.leave_out(pc.is_in(texts, pa.array([*ids, *spelled])))
            found |= {spelled.get(text, text) for text in left_out[of].unique().to_pylist()}
            if len(left_out) > 0:
                sentences.append(
                    f"{sheet.file_name}: rows of declared totals of {of}s, left out: {len(left_out):,}"
                )
        sentences += [f"{of} {id_!r}, a declared total, has no row" for id_ in ids if id_ not in found]
    return sentences


def check_totals(declared: Declared, numbering: Numbering, known: Mapping[str, pa.Table]) -> None:
    """Refuses declared totals that an earlier load brought as stores or departments: its rows stay.

    Raises:
        UserError: ``BadData``.
    """
    for of, ids in _declared_totals(declared).items():
        numbers = numbering.of(of)
        sold = set(pc.unique(known[SALES.name][of]).to_pylist())
        loaded = [id_ for id_ in ids if numbers.get(id_) in sold]
        if loaded:
            raise UserError(
                declared.error,
                f"totals of {declared.where} names {of} {loaded[0]!r}, whose sales an earlier load added to "
                "the data set, where they stay; load all sales into a new data set",
            )


def _declared_totals(declared: Declared) -> dict[LevelOf, list[str]]:
    totals = declared.declaration.totals or Totals()
    return {"store": totals.store or [], "dept": totals.dept or []}


def check_members(tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table], ids: Ids) -> Check:
    """Checks that each store and department with sales has a member at each declared level."""
    rows = pa.concat_tables([known[LEVELS.name], tables[LEVELS.name]])
    lacking = [f"{level}: {of} {ids.id(of, number)}" for level, of, number in _without_member(rows, tables)]
    return Check("level-member", len(lacking), lacking[:EXAMPLES])


def _without_member(rows: pa.Table, tables: Mapping[str, pa.Table]) -> Iterator[tuple[str, LevelOf, int]]:
    newest = {(row["level"], row["of"], row["number"]): row["member"] for row in rows.to_pylist()}
    for level, of in dict.fromkeys((level, of) for level, of, _ in newest):
        for number in pc.unique(tables[SALES.name][of]).sort().to_pylist():
            if newest.get((level, of, number)) is None:
                yield level, of, number


def _is_type(level: LevelColumn, declared: Declared) -> bool:
    """Whether the level's column is that of the store type, which is read anyway."""
    types = declared.columns(_TYPE) or (_TYPE,)
    return level.file == "stores" and any(same_name(level.column, name) for name in types)


def _error(declared: Declared, level: LevelColumn, reason: str) -> UserError:
    return UserError(
        declared.error,
        f"levels.{level.level} of {declared.where} is {level.file}.{level.column}, and {reason}",
    )
