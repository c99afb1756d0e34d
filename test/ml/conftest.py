"""Fixtures of tests of several stages: a real PostgreSQL, and real data if present."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

# OpenMP's threads wait for each other in a loop: most of the CPU time when other tests run beside these.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option of scripts/test-counts.mjs."""
    parser.addoption("--counts", help="file for the numbers of tests that passed, failed and were skipped")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Writes how many tests passed, failed and were skipped; an error of a fixture counts as a failure."""
    path = config.getoption("--counts")
    if path is None:
        return
    stats = terminalreporter.stats
    counts = {
        "passed": ("passed", "xpassed"),
        "failed": ("failed", "error"),
        "skipped": ("skipped", "xfailed"),
    }
    totals = {name: sum(len(stats.get(kind, [])) for kind in kinds) for name, kinds in counts.items()}
    Path(path).write_text(json.dumps(totals), encoding="utf-8")


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """Address of an empty PostgreSQL with the tables of infra/migrations, for the whole session."""
    with tempfile.TemporaryDirectory(prefix="shelfcast-pytest-") as folder:
        # PostgreSQL runs as another user when we are root.
        Path(folder).chmod(0o755)
        command = ["node", "--import", "tsx", "test/ml/postgres-main.ts", f"{folder}/state"]
        with subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "PostgreSQL did not start; see above"
            yield url
            process.communicate(timeout=60)


@pytest.fixture(scope="session")
def walmart() -> Path:
    """Folder with the public Walmart data, which may not be passed on with this project."""
    folder = PROJECT.parent / "shared" / "data" / "walmart"
    if not (folder / "train.csv").exists():
        pytest.skip("the Walmart data are not at ../shared/data/walmart")
    return folder
