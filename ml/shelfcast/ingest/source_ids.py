"""Ids in the rows of a load: spellings of one id are found, and each id gets its number.

An id is text, taken as written. Programs change the spelling of ids that look like numbers: they write 1.0
for 1, and drop leading zeros. Such a spelling is read as the id that the data set or another file of the load
has. All other texts are ids of their own; those that look alike are reported.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from shelfcast.contracts.specs import Rename
from shelfcast.ids import IdOf
from shelfcast.ingest.cell_rules import ID, id_or_none
from shelfcast.ingest.numbering import Numbering
from shelfcast.ingest.sheet import Sheet
from shelfcast.job import UserError

_DIGITS = re.compile(r"[0-9]+")
_DOTTED = re.compile(r"[0-9]+(\.[0-9]+)+")
#: Whole number of a program with one type for numbers, unless it may be a thousand, like 1.000.
_FLOAT = re.compile(r"([0-9]+)\.0+")
_FLOAT_IN_TEXT = re.compile(r"(?<![0-9.])([0-9]+)\.0+(?![0-9.])")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(\.[0-9]{3})+")
#: Share of the numbers with a dot up to which those that are not whole are errors.
_ODD_SHARE = 0.01
_MISSING = "NA"
_UNCLEAR = (
    "must be text or a whole number, not a number with decimals like 1.5 or 1.000, which may be a thousand"
)


def number_ids(
    of: IdOf,
    sheets: Sequence[Sheet],
    numbering: Numbering,
    renamed: Sequence[Rename] = (),
    list_: Sheet | None = None,
) -> list[str]:
    """Replaces ids by their numbers in the sheets, and rejects rows whose id is unclear.

    Args:
        of: Kind of the ids, which is also their name in ``Sheet.values``.
        sheets: Sheets in order: an id may have another spelling than in an earlier one.
        numbering: Numbers of the data set's ids, to which new ones are added.
        renamed: Renamed ids of any kind, in the order of the changes.
        list_: Sheet among them that lists the ids, each in one row.

    Returns:
        Sentences about ids that are like others.

    Raises:
        UserError: ``BadData``: an id cannot be renamed, or is unknown.
    """
    numbers = numbering.of(of)
    known = frozenset(numbers)
    counts_of = [_counts(of, sheet) for sheet in sheets]
    counts = sum(counts_of, Counter[str]())
    are_floats, unclear = _number_like({text: n for text, n in counts.items() if text not in known})
    pairs = [(declared_id(r.from_, "renamed"), declared_id(r.to, "renamed")) for r in renamed if r.of == of]
    renames = _possible(of, pairs, known, counts)
    spellings = _Spellings(known, _former_ids(renames, known))
    read_as: list[dict[str, str]] = []
    for sheet, texts in zip(sheets, counts_of, strict=True):
        missing = set() if sheet is list_ or spellings.has(_MISSING) else {_MISSING}
        _reject(sheet, of, missing & texts.keys(), "must not be NA, which is no id")
        _reject(sheet, of, unclear & texts.keys(), _UNCLEAR)
        read_as.append({text: spellings.find(text, are_floats) for text in texts.keys() - missing - unclear})
        spellings.add(read_as[-1].values())
    # All at once: whole numbers of any sheet get their own numbers.
    numbering.add(of, (id_ for read in read_as for id_ in read.values()))
    for sheet, read in zip(sheets, read_as, strict=True):
        sheet.replace(of, {text: numbers[id_] for text, id_ in read.items()})
    for former, current in renames:
        # All rows of the former id may be bad.
        if former in numbers:
            numbering.rename(of, former, current)
    return [
        *other_spellings(of, (pair for read in read_as for pair in read.items())),
        *(f"{of} {id_!r} and {other!r} are two ids" for id_, other in sorted(_similar(numbers, known))),
    ]


def known_ids(texts: Collection[str], ids: Collection[str]) -> dict[str, str]:
    """Returns the known id that each text stands for, without the texts that stand for none.

    Args:
        texts: Ids as a file writes them.
        ids: Known ids.
    """
    are_floats, unclear = _number_like({text: 1 for text in texts if text not in ids})
    spellings = _Spellings(ids, {})
    read = {text: spellings.find(text, are_floats) for text in texts if text not in unclear}
    return {text: id_ for text, id_ in read.items() if id_ in ids}


def declared_id(text: str, where: str) -> str:
    """Returns an id of a declaration as data have it.

    Raises:
        UserError: ``BadData``: the text is no id.
    """
    id_ = id_or_none(text.strip())
    if id_ is None:
        raise UserError("BadData", f"{where}: {text!r} {ID.requirement}")
    return id_


def other_spellings(of: IdOf, read: Iterable[tuple[str, str]]) -> list[str]:
    """Returns sentences about the texts that are read as an id with other zeros."""
    spelled = {pair for pair in read if _differ_in_zeros(*pair)}
    return [f"{of} {text!r} is read as {id_!r}" for text, id_ in sorted(spelled)]


class _Spellings:
    """Ids so far, by their spellings."""

    def __init__(self, ids: Iterable[str], former: Mapping[str, str]) -> None:
        """Begins with ids, and the former id of each new id."""
        self._former = former
        self._ids: set[str] = set()
        self._by_number: dict[str, list[str]] = defaultdict(list)
        self.add(ids)

    def has(self, id_: str) -> bool:
        """Whether an id is written like this."""
        return id_ in self._ids

    def add(self, ids: Iterable[str]) -> None:
        """Adds ids."""
        for id_ in sorted(set(ids).difference(self._ids)):
            self._ids.add(id_)
            if _DIGITS.fullmatch(id_):
                self._by_number[_without_zeros(id_)].append(id_)

    def find(self, text: str, may_be_float: bool) -> str:
        """Returns the id that a text stands for: one of the ids so far, or a new one."""
        text = self._former.get(text, text)
        if text in self._ids:
            return text
        whole = _whole(text) if may_be_float else text
        if whole in self._ids or not _DIGITS.fullmatch(whole):
            return whole
        same = self._by_number.get(_without_zeros(whole), [])
        return same[0] if len(same) == 1 else whole


def _possible(
    of: IdOf, renames: Sequence[tuple[str, str]], known: Collection[str], new: Iterable[str]
) -> list[tuple[str, str]]:
    """Returns the renames whose former id is known, in the load, or a new id of another rename.

    Raises:
        UserError: ``BadData``: neither the former nor the new id of a rename is known.
    """
    former, current = {*known, *new}, set(known)
    possible = []
    for pair in renames:
        if pair[0] in former:
            possible.append(pair)
            former.add(pair[1])
    for pair in reversed(renames):
        if pair[1] in current:
            current.add(pair[0])
        elif pair not in possible:
            raise UserError(
                "BadData",
                f"renamed: {of} {pair[0]!r} is neither in the data set nor in this load; correct the entry, "
                "or remove it",
            )
    return possible


def _former_ids(renames: Sequence[tuple[str, str]], known: Collection[str]) -> dict[str, str]:
    """Returns the first id of each renamed id that the data set does not know."""
    first: dict[str, str] = {}
    for former, current in renames:
        if current not in known:
            first[current] = first.get(former, former)
    return first


def _number_like(counts: Mapping[str, int]) -> tuple[bool, set[str]]:
    """Returns whether texts like 1.0 are whole numbers, and the texts whose meaning is unclear.

    Args:
        counts: Number of rows by text.
    """
    dotted = [text for text in counts if _DOTTED.fullmatch(text)]
    thousands = {text for text in dotted if _THOUSANDS.fullmatch(text)}
    floats = {text for text in dotted if _FLOAT.fullmatch(text)} - thousands
    others = set(dotted) - floats - thousands
    float_rows, other_rows = (sum(counts[text] for text in texts) for texts in (floats, others))
    if other_rows > _ODD_SHARE * (float_rows + other_rows):
        # Dots separate parts of a code.
        return False, set()
    return True, thousands | others


def _counts(of: IdOf, sheet: Sheet) -> Counter[str]:
    """Returns the number of rows by text."""
    codes = sheet.values[of].combine_chunks().dictionary_encode()
    rows = np.bincount(codes.indices.to_numpy(), minlength=len(codes.dictionary))
    return Counter(dict(zip(codes.dictionary.to_pylist(), rows.tolist(), strict=True)))


def _reject(sheet: Sheet, of: IdOf, texts: Collection[str], rule: str) -> None:
    if not texts:
        return
    codes = sheet.values[of].combine_chunks().dictionary_encode()
    is_bad = np.array([text in texts for text in codes.dictionary.to_pylist()], bool)
    if is_bad.any():
        sheet.reject(is_bad[codes.indices.to_numpy()], (of,), f"{sheet.labels[of]} {rule}", "id")


def _whole(text: str) -> str:
    match = _FLOAT.fullmatch(text)
    return match[1] if match else text


def _differ_in_zeros(text: str, id_: str) -> bool:
    digits, other = _whole(text), _whole(id_)
    return digits != other and _without_zeros(digits) == _without_zeros(other)


def _without_zeros(digits: str) -> str:
    return digits.lstrip("0") or "0"


def _similar(ids: Collection[str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yields each new id that differs from another one only in what ``_folded`` removes."""
    groups: dict[str, list[str]] = defaultdict(list)
    for id_ in ids:
        groups[_folded(id_)].append(id_)
    for group in groups.values():
        first, *others = sorted(group, key=lambda id_: (id_ not in known, id_))
        yield from ((id_, first) for id_ in others if id_ not in known)


def _folded(id_: str) -> str:
    text = _FLOAT_IN_TEXT.sub(r"\1", "".join(id_.split()).casefold())
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return _without_zeros(text) if _DIGITS.fullmatch(text) else text
