"""Guess of the declaration of a file of sales, from the names and the cells of its columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shelfcast.ingest.column_search import dates_among, joined
from shelfcast.inspection.columns import Column

#: Words in names of columns, the most telling first.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "week": (
        *("week", "weekending", "date", "day", "datum", "ds", "time", "timestamp", "datetime", "period"),
        *("woche", "kw", "wk", "semaine", "semana", "settimana", "fecha", "tag", "dag"),
    ),
    "sales": (
        *("sales", "weeklysales", "numsold", "unitssold", "sold", "revenue", "amount", "turnover", "umsatz"),
        *("absatz", "menge", "ventes", "ventas", "vendite", "omzet", "vendas"),
        *("quantity", "qty", "units", "demand", "volume", "calls", "orders", "y", "value", "target", "count"),
    ),
    "store": (
        *(
            "store",
            "shop",
            "branch",
            "outlet",
            "site",
            "location",
            "warehouse",
            "market",
            "filiale",
            "center",
        ),
        *(
            "centre",
            "station",
            "markt",
            "laden",
            "standort",
            "magasin",
            "tienda",
            "negozio",
            "winkel",
            "loja",
        ),
    ),
    "dept": (
        *(
            "dept",
            "department",
            "product",
            "item",
            "sku",
            "article",
            "category",
            "family",
            "group",
            "artikel",
        ),
        *("queue", "service", "gtin", "ean", "upc", "material", "warengruppe", "abteilung", "produkt"),
        *("rayon", "produit", "producto", "prodotto", "afdeling", "produto"),
    ),
    "holiday": ("holiday", "isholiday"),
}
_REGIONS = ("country", "region", "state", "city", "land", "chain", "company")
_NO_MEANING = re.compile(r"(row|line|record|index|unnamed)?[ _:]*(id|no|nr|number|index|0)?", re.IGNORECASE)
#: Name of a column that numbers years or parts of them, like ``fiscal_week``.
_OF_CALENDAR = re.compile(
    r"(fiscal|retail|iso|calendar)?(year|yr|fy|quarter|qtr|month|period|fp|week|wk|fw|jahr|quartal|monat|woche|kw)+"
    r"(of|in)?(year|yr|quarter|month)?(number|num|no|nr|id)?"
)
_ID_SUFFIX = re.compile(r"(id|nbr|no|nr|number|code|name|key)$")


@dataclass(frozen=True)
class Guess:
    """Guess of a declaration.

    Attributes:
        columns: Columns by role, in the form of the declaration.
        ignore: Columns without a meaning for forecasts.
        questions: Sentences about what only a person can decide.
    """

    columns: dict[str, str | list[str]]
    ignore: list[str]
    questions: list[str] = field(default_factory=list)


def guess_roles(columns: Sequence[Column], declared: Mapping[str, Any]) -> Guess:
    """Guesses the roles that are not declared.

    Args:
        columns: Columns of the file of sales.
        declared: Columns by role, as the user declared them.
    """
    taken = {name for value in declared.values() for name in names_of(value)}
    free = [column for column in columns if column.name not in taken]
    guess = Guess(dict(declared), [])
    named = _named("week", free)
    dates = [c for c in free if c.is_date or (c in named and c.has_dates)]
    if not (dates or named) and "week" not in guess.columns:
        guess.questions.append(_without_dates(columns))
    else:
        _guess_one("week", dates or named, guess)
    if named and not dates:
        guess.questions.append(
            f"{named[0].name} has no dates, like {named[0].example[:20]}: give the last day of each week, "
            "like 2026-08-28, or declare their form, like --date-format DDMMYYYY"
        )
    numbers = [c for c in free if c.is_number and not c.is_date]
    ids = [c for c in _not_used(free, guess) if c.kind != "flags" and not c.is_date and c.distinct > 0]
    _guess_ids("store", ids, guess)
    _guess_ids("dept", _not_used(ids, guess), guess)
    measures = [c for c in _not_used(numbers, guess) if _score("sales", c) or not _is_counter(c)]
    named = _named("sales", _not_used(free, guess))
    measures += [c for c in named if c.has_numbers and c not in measures]
    of_calendar = [c for c in measures if _numbers_weeks(c, columns, guess)]
    measures = [c for c in measures if c not in of_calendar]
    _guess_one("sales", measures or named, guess)
    flags = [c for c in _not_used(free, guess) if c.is_flag and _score("holiday", c)]
    if len(flags) == 1 and "holiday" not in guess.columns:
        guess.columns["holiday"] = flags[0].name
    ignored = [c for c in _not_used(free, guess) if _is_counter(c) or c in of_calendar]
    guess.ignore.extend(c.name for c in ignored)
    return guess


def names_of(value: str | list[str]) -> list[str]:
    """Returns the columns of a role in the form of the declaration."""
    return [value] if isinstance(value, str) else value


def _not_used(columns: Sequence[Column], guess: Guess) -> list[Column]:
    used = {name for value in guess.columns.values() for name in names_of(value)}
    return [column for column in columns if column.name not in used]


def _named(role: str, columns: Sequence[Column]) -> list[Column]:
    """Returns the columns with the name of the role: the load says which of their cells are wrong."""
    return [column for column in columns if _score(role, column) == _EXACT]


def _guess_one(role: str, candidates: Sequence[Column], guess: Guess) -> None:
    if role in guess.columns:
        return
    scores = {column.name: _score(role, column) for column in candidates}
    best = max(scores.values(), default=0)
    names = [name for name, score in scores.items() if score == best]
    rivals = [name for name, score in scores.items() if score > 0]
    if len(rivals) > 1 and best < _EXACT:
        names = rivals
    if len(names) == 1:
        guess.columns[role] = names[0]
    elif names:
        options = " or ".join(f"--column {role}={name}" for name in names[:4])
        guess.questions.append(f"{', '.join(names[:8])} could each be the {role}: say which, with {options}")
    else:
        guess.questions.append(
            f"no column has numbers that could be the {role}: say which, with --column {role}=..."
        )


def _without_dates(columns: Sequence[Column]) -> str:
    """Returns a sentence on how the file says its weeks instead of by dates."""
    days = dates_among([column.name for column in columns])
    if days:
        return (
            f"the header has {len(days)} dates, like {days[0]}: give one row for each week of a series "
            "instead, with the date in a column"
        )
    numbers = [column.name for column in columns if column.is_number and _score("week", column)]
    if numbers:
        return f"{numbers[0]} has no dates: give the last day of each week, like 2026-08-28, in a column"
    return "no column has dates that could be the week: say which, with --column week=..."


#: Score of a column whose name is the name of the role.
_EXACT = 1_000


def _score(role: str, column: Column) -> int:
    """Returns how much the name says about the role: 0 if nothing."""
    plain = re.sub(r"[^a-z0-9]", "", column.name.casefold())
    if plain == role:
        return _EXACT
    stem = _ID_SUFFIX.sub("", plain) or plain
    parts = re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", column.name).casefold())
    words = _WORDS[role]
    for rank, word in enumerate(words):
        if stem == word or plain == word or word in parts:
            return len(words) - rank
    return 0


def _guess_ids(role: str, candidates: Sequence[Column], guess: Guess) -> None:
    if role in guess.columns:
        return
    scores = {column.name: _score(role, column) for column in candidates}
    scored = [c for c in candidates if scores[c.name] == _EXACT or (scores[c.name] and not _is_measure(c))]
    if not scored:
        return
    best = max(scored, key=lambda column: (scores[column.name], -column.distinct))
    regions = [
        column
        for column in candidates
        if role == "store" and column is not best and _is_region(column) and _splits(column, best)
    ]
    guess.columns[role] = [*(column.name for column in regions), best.name] if regions else best.name


def _is_region(column: Column) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", column.name.casefold())
    return _ID_SUFFIX.sub("", plain) in _REGIONS


def _splits(region: Column, store: Column) -> bool:
    """Whether one id of a store occurs in several regions, so that it alone names no store."""
    pairs = len(joined([region.cells, store.cells]).unique())
    return pairs > store.distinct


def _numbers_weeks(column: Column, columns: Sequence[Column], guess: Guess) -> bool:
    """Whether the column has one number in each week, as years and fiscal weeks beside a date have."""
    if not column.is_number or _is_measure(column):
        return False
    weeks = [c for c in columns if c.name == guess.columns.get("week") and c.is_date and c is not column]
    plain = re.sub(r"[^a-z]", "", column.name.casefold())
    if not weeks or _OF_CALENDAR.fullmatch(plain) is None:
        return False
    return len(joined([weeks[0].cells, column.cells]).unique()) == len(weeks[0].cells.unique())


def _is_measure(column: Column) -> bool:
    """Whether the cells have decimals, as ids have not."""
    return column.is_number and any(
        "." in text.rstrip("0").rstrip(".") for text in column.cells.slice(0, 1000).to_pylist()
    )


def _is_counter(column: Column) -> bool:
    """Whether the column only numbers the rows."""
    is_nameless = _NO_MEANING.fullmatch(column.name.strip()) is not None
    return is_nameless and column.distinct == len(column.cells) and len(column.cells) > 1
