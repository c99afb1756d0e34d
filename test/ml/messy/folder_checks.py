"""Checks of what comes of a messy folder: its rows exactly, or one sentence."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from messy_cells import flag_of
from messy_folders import DEFAULT_SHARE, Messy, write_messy_folder
from messy_sales import Truth
from pyarrow import csv

from shelfcast.contracts.specs import IngestSpec, LongSource
from shelfcast.contracts.wire import decode
from shelfcast.ids import Ids
from shelfcast.ingest.__main__ import run
from shelfcast.ingest.bad_rows import write_bad_rows
from shelfcast.ingest.load import newest_snapshot
from shelfcast.ingest.long_source import read_long_source
from shelfcast.ingest.quality import Overrides, require_quality
from shelfcast.ingest.source_checks import check_source
from shelfcast.inspection.__main__ import main as inspect
from shelfcast.job import UserError
from shelfcast.snapshot import IDS, SALES, empty_tables

#: Relative difference of sums that come from another order of summing.
_OF_SUMS = 1e-9
_CODES = (0, 1, 2)
#: Fewest words and most characters of a message.
_WORDS, _CHARACTERS = 4, 6000
_SHOWN_FAULTS = 8


#: Exit code of ``inspect``, and the declaration that it wrote.
_Inspected = tuple[int, dict[str, Any] | None]


@dataclass(frozen=True)
class Outcome:
    """Outcome of a folder.

    Attributes:
        seed: Seed of the folder.
        kinds: Names of what the folder has.
        inspected: Exit code of ``inspect``.
        end: ``loaded``, or ``stopped``.
        sentence: Sentence that stopped the load.
        faults: Sentences about what is wrong.
    """

    seed: int
    kinds: list[str]
    inspected: int | None
    end: str
    sentence: str
    faults: list[str]


class _FaultError(Exception):
    """Fault of the product."""


def check_folder(seed: int, directory: Path) -> Outcome:
    """Writes the folder of a seed, inspects and loads it, and compares what came of it with the truth."""
    messy = write_messy_folder(seed, directory / "sales")
    faults: list[str] = []
    code, end, sentence = None, "", ""
    with _quiet(faults):
        try:
            inspected = _inspect(messy, directory)
            code = inspected[0]
            end, sentence = _check_load(messy, directory, faults)
            _check_promise(messy, directory, inspected, faults, sentence)
        except Exception:
            faults.append(f"traceback: {traceback.format_exc()[-_CHARACTERS:]}")
    return Outcome(seed, messy.reading.kinds, code, end, sentence, faults)


@contextlib.contextmanager
def _quiet(faults: list[str]) -> Iterator[None]:
    """Adds a fault for each warning, and for text on stderr that no Python code wrote."""
    with tempfile.TemporaryFile() as caught, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
        caught.seek(0)
        written = caught.read().decode("utf-8", "replace")
    faults += [f"warning: {warning.message} ({warning.filename}:{warning.lineno})" for warning in warned]
    if written:
        faults.append(f"on stderr: {written[:300]}")


def _inspect(messy: Messy, directory: Path) -> _Inspected:
    """Returns the exit code of ``inspect`` and the declaration that it wrote."""
    file = directory / "guess.json"
    arguments = ["--data", str(messy.path), "--write", str(file)]
    if messy.reading.declaration and not messy.is_beside:
        arguments += ["--declaration", json.dumps(messy.reading.declaration)]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = inspect(arguments)
    if code not in _CODES:
        raise _FaultError(f"inspect ends with {code}")
    if len(printed.getvalue().split()) < _WORDS:
        raise _FaultError(f"inspect prints no sentence: {printed.getvalue()!r}")
    return code, json.loads(file.read_text()) if code == 0 else None


def _check_load(messy: Messy, directory: Path, faults: list[str]) -> tuple[str, str]:
    """Loads the folder as it is declared; returns how it ended, and the sentence if it stopped."""
    declaration = None if messy.is_beside else messy.reading.declaration or None
    job = directory / "job"
    expected = messy.reading.must_stop
    try:
        tables = _load(messy.path, job, declaration, messy.max_bad_row_share)
    except UserError as error:
        sentence = str(error)
        if not any(part in sentence for part in [*expected, *messy.reading.may_stop]):
            faults.append(f"stops: {sentence[:600]} (expected {expected or 'a load'})")
        _check_sentence(sentence, faults)
        return "stopped", sentence
    if expected:
        faults.append(f"loads, and must stop by one of {expected}")
        return "loaded", ""
    _compare(messy.truth, _truth_of(tables), faults)
    if messy.has_flags and "sum" not in messy.reading.declaration:
        _compare_flags(tables[SALES.name], faults)
    _compare_bad(messy, job / "bad-rows.csv", faults)
    return "loaded", ""


def check_stored(messy: Messy, directory: Path, address: str, dataset: str) -> list[str]:
    """Loads a folder that loads into a PostgreSQL; returns how its rows there differ from the truth."""
    declaration = None if messy.is_beside else messy.reading.declaration or None
    run(_spec(messy.path, declaration, messy.max_bad_row_share, dataset), directory)
    faults: list[str] = []
    with psycopg.connect(address) as connection:
        _compare(messy.truth, _truth_of(newest_snapshot(connection, dataset)), faults)
    return faults


def _spec(path: Path, declaration: dict[str, Any] | None, max_share: float, dataset: str) -> IngestSpec:
    source = {"kind": "long", "path": str(path)} | ({"declaration": declaration} if declaration else {})
    spec = {"dataset": dataset, "requestId": dataset, "source": source, "maxBadRowShare": max_share}
    return decode(IngestSpec, spec, "spec")


def _load(path: Path, job: Path, declaration: dict[str, Any] | None, max_share: float) -> dict[str, pa.Table]:
    """Does what a load does, but for writing the rows."""
    job.mkdir(exist_ok=True)
    source = _spec(path, declaration, max_share, "messy").source
    assert isinstance(source, LongSource)
    rows = read_long_source(source, empty_tables())
    write_bad_rows(rows.findings, job / "bad-rows.csv")
    tables, checks = check_source(rows, empty_tables(), max_share)
    require_quality(checks, tables, Overrides(), job, "messy")
    if len(tables[SALES.name]) == 0:
        raise UserError("BadData", "the source has no good row of sales for data set messy")
    return tables


def _truth_of(tables: dict[str, pa.Table]) -> Truth:
    ids = Ids.of(tables[IDS.name])
    rows = tables[SALES.name].to_pylist()
    truth = {
        (ids.id("store", r["store"]), ids.id("dept", r["dept"]), r["week"]): r["weekly_sales"] for r in rows
    }
    if len(truth) != len(rows):
        raise _FaultError("a row is loaded twice")
    return truth


def _compare(truth: Truth, loaded: Truth, faults: list[str]) -> None:
    for name, keys in (("lost", truth.keys() - loaded.keys()), ("invented", loaded.keys() - truth.keys())):
        if keys:
            faults.append(f"{len(keys)} of {len(truth)} rows are {name}, like {sorted(keys)[:3]}")
    changed = [
        (key, truth[key], loaded[key])
        for key in truth.keys() & loaded.keys()
        if not math.isclose(truth[key], loaded[key], rel_tol=_OF_SUMS, abs_tol=1e-12)
    ]
    if changed:
        faults.append(f"{len(changed)} values are changed, like {changed[:3]}")


def _compare_flags(sales: pa.Table, faults: list[str]) -> None:
    wrong = {
        row["week"] for row in sales.to_pylist() if row["is_holiday"] != (flag_of(row["week"]) == "TRUE")
    }
    if wrong:
        faults.append(f"{len(wrong)} weeks have the other flag, like {min(wrong)}")


def _compare_bad(messy: Messy, report: Path, faults: list[str]) -> None:
    found: dict[int, set[str]] = {}
    if report.exists():
        options = csv.ParseOptions(newlines_in_values=True)
        for row in csv.read_csv(report, parse_options=options).to_pylist():
            if row["file"].startswith("sales."):
                found.setdefault(row["line"], set()).add(row["name"])
    unlisted = {line for line, names in found.items() if names == {"store-in-file"} and messy.unlisted}
    for line in sorted(messy.bad.keys() ^ (found.keys() - (unlisted - messy.bad.keys()))):
        faults.append(f"line {line} breaks {messy.bad.get(line)}, and the report has {found.get(line)}")
    for line, names in found.items():
        if line in messy.bad and not names & (messy.bad[line] | {"store-in-file"}):
            faults.append(f"line {line} breaks {messy.bad[line]}, and the report has {names}")
    del faults[_SHOWN_FAULTS:]


def _check_sentence(sentence: str, faults: list[str]) -> None:
    """Adds a fault where a message is no sentence for people."""
    odd = ("Traceback", "<class", "object at 0x", "ArrowInvalid", "NoneType", "KeyError")
    is_short, is_long = len(sentence.split()) < _WORDS, len(sentence) > _CHARACTERS
    if is_short or is_long or any(word in sentence for word in odd):
        faults.append(f"no sentence: {sentence[:300]}")


def _check_promise(
    messy: Messy, directory: Path, inspected: _Inspected, faults: list[str], sentence: str
) -> None:
    """Checks that data load as ``inspect`` promised, with the declaration that it wrote."""
    code, declared = inspected
    if code == 0:
        path = messy.path
        if not any(path.glob("sales.*")):
            # Inspection then takes the largest file.
            path = max(path.iterdir(), key=lambda file: file.stat().st_size)
        try:
            _load(path, directory / "promise", declared, DEFAULT_SHARE)
        except UserError as error:
            faults.append(f"inspect promises a load that stops: {str(error)[:500]}")
    elif not sentence and messy.max_bad_row_share == DEFAULT_SHARE:
        faults.append(f"inspect ends with {code}, and the data load")
