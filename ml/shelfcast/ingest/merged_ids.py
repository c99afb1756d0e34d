"""Merges that a declaration names: a store or a department becomes part of another one (decision 46)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from shelfcast.contracts.specs import Merge
from shelfcast.ids import Ids
from shelfcast.ingest.declaration import Declared
from shelfcast.ingest.numbering import Numbering
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.source_ids import declared_id
from shelfcast.job import UserError
from shelfcast.levels import LevelOf
from shelfcast.snapshot import LEVELS, MERGES, STORES

#: Number that remains by kind and number of each merged one.
_Into = dict[tuple[LevelOf, int], int]


def merge_rows(declared: Declared, numbering: Numbering, known: Mapping[str, pa.Table]) -> pa.Table:
    """Returns the rows of ``MERGES`` that are new with this load.

    Args:
        declared: Declaration of the source.
        numbering: Numbers of all ids, those of the load and of renames included.
        known: Rows of the data set's newest snapshot by table name.

    Raises:
        UserError: An id is unknown, or would be part of itself or of two others.
    """
    earlier = _into(known[MERGES.name])
    into = dict(earlier)
    for merge in declared.declaration.merged or ():
        _add(into, merge, numbering, declared)
    rows = [
        {"of": of, "number": number, "into_number": remaining}
        for (of, number), remaining in into.items()
        if earlier.get((of, number)) != remaining
    ]
    return MERGES.in_key_order(pa.Table.from_pylist(rows, MERGES.schema))


def check_merges(tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table], ids: Ids) -> Check:
    """Checks that what becomes one has the same type, size and members of levels."""
    differing = list(_differing(tables, known, ids))
    return Check("merged-attributes", len(differing), differing[:EXAMPLES])


def _into(merges: pa.Table) -> _Into:
    return {(row["of"], row["number"]): row["into_number"] for row in merges.to_pylist()}


def _add(into: _Into, merge: Merge, numbering: Numbering, declared: Declared) -> None:
    """Adds a merge; all that was part of its former id becomes part of the one that remains."""
    former, current = (_number(merge, text, numbering, declared) for text in (merge.from_, merge.to))
    if former == current:
        raise _error(declared, merge, "which are one already; remove the entry")
    remaining = into.get((merge.of, current), current)
    if former == remaining:
        reason = f"but {merge.to!r} is merged into {merge.from_!r}; keep one direction"
        raise _error(declared, merge, reason)
    key = (merge.of, former)
    if into.get(key, remaining) != remaining:
        shown = next(id_ for id_, number in numbering.of(merge.of).items() if number == into[key])
        reason = f"but {merge.from_!r} is part of {shown!r} already; an id can be part of one other only"
        raise _error(declared, merge, reason)
    into[key] = remaining
    into.update({part: remaining for part, whole in into.items() if part[0] == merge.of and whole == former})


def _number(merge: Merge, text: str, numbering: Numbering, declared: Declared) -> int:
    number = numbering.of(merge.of).get(declared_id(text, "merged"))
    if number is None:
        reason = f"but {text!r} is neither in the data set nor in this load; correct the entry, or remove it"
        raise _error(declared, merge, reason)
    return number


def _error(declared: Declared, merge: Merge, reason: str) -> UserError:
    what = f"merged of {declared.where}: {merge.of} {merge.from_!r} goes into {merge.to!r}"
    return UserError(declared.error, f"{what}, {reason}")


def _differing(tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table], ids: Ids) -> Iterator[str]:
    attributes: dict[tuple[LevelOf, int], dict[str, object]] = {}
    for row in pa.concat_tables([known[STORES.name], tables[STORES.name]]).to_pylist():
        attributes.setdefault(("store", row["store"]), {}).update(type=row["type"], size=row["size"])
    for row in pa.concat_tables([known[LEVELS.name], tables[LEVELS.name]]).to_pylist():
        attributes.setdefault((row["of"], row["number"]), {})[row["level"]] = row["member"]
    for (of, number), remaining in _into(tables[MERGES.name]).items():
        former, current = (attributes.get((of, one), {}) for one in (number, remaining))
        for name in sorted({*former, *current}):
            if former.get(name) != current.get(name):
                values = [_shown(of_id.get(name)) for of_id in (former, current)]
                yield (
                    f"{of} {ids.id(of, number)!r} has the {name} {values[0]}, and {ids.id(of, remaining)!r}, "
                    f"into which it is merged, has {values[1]}, which counts"
                )


def _shown(value: object) -> str:
    if value is None:
        return "NA"
    return f"{value:g}" if isinstance(value, float) else str(value)
