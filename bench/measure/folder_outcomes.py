"""``folder_outcomes.py COUNT FIRST PROCESSES``: what comes of messy folders, as JSON.

Writes the folder of each seed from FIRST on, inspects and loads it, and compares what came of it with the
truth; every fiftieth one that loads also gets forecasts. Prints one line, ``{"ends": {..}, "kinds": {KIND:
{"loaded": .., "stopped": .., "faults": ..}}, "forecasts": {..}, "faults": [..]}``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from folder_checks import Outcome, check_folder
from forecast_checks import forecast_end
from messy_folders import is_loadable, write_messy_folder

#: Share of the folders that also get forecasts: one in so many. Every second of them trains a network.
ONE_IN = 50
_CHUNK = 20


def main(count: int, first: int, processes: int) -> dict[str, object]:
    """Returns the outcomes of all seeds."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        results = list(pool.map(outcome_of, range(first, first + count), chunksize=_CHUNK))
    outcomes = [outcome for outcome, _ in results]
    return {
        "ends": Counter(f"{outcome.end}, inspect {outcome.inspected}" for outcome in outcomes),
        "kinds": by_kind(outcomes),
        "forecasts": Counter(end for _, end in results if end != ""),
        "faults": [f"seed {outcome.seed}: {fault}" for outcome in outcomes for fault in outcome.faults],
    }


def outcome_of(seed: int) -> tuple[Outcome, str]:
    """Returns the outcome of a seed, and how its forecasts end; empty if it gets none."""
    with tempfile.TemporaryDirectory(prefix="shelfcast-messy-") as directory:
        outcome = check_folder(seed, Path(directory))
    return outcome, _forecast_end(seed, outcome) if seed % ONE_IN == 0 and outcome.end == "loaded" else ""


def by_kind(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    """Returns the numbers of folders by what they have, and how they end."""
    kinds: dict[str, dict[str, int]] = defaultdict(lambda: {"loaded": 0, "stopped": 0, "faults": 0})
    for outcome in outcomes:
        for kind in sorted(set(outcome.kinds)):
            kinds[kind]["faults" if outcome.faults else outcome.end] += 1
    return dict(sorted(kinds.items()))


def _forecast_end(seed: int, outcome: Outcome) -> str:
    with tempfile.TemporaryDirectory(prefix="shelfcast-messy-") as directory:
        messy = write_messy_folder(seed, Path(directory) / "sales")
        if not is_loadable(messy):
            return ""
        try:
            return forecast_end(messy, Path(directory), "global" if seed % (2 * ONE_IN) else "simple")[0]
        except Exception:
            outcome.faults.append(f"forecasts: {traceback.format_exc()[-2000:]}")
            return "fault"


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
