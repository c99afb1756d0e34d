"""``compute.py STORES DEPARTMENTS WEEKS WORKERS..``: seconds of computing features, as JSON.

Measures the computation from a snapshot's tables in memory to the series files. ``WORKERS`` are numbers of
Ray workers; 0 is pandas in this process. Prints one line,
``{"salesRows": .., "seconds": {"0": .., "1": ..}, "peakMiB": ..}``: the memory is the largest sum over all
processes of the job, Ray and its object store included, without pandas. All output is compared before a time
is printed. Starts a separate Ray for each number of workers.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas_features
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from shelfcast.features import cluster, training_data
from shelfcast.features.definitions import STRUCTURAL, FeatureSet
from shelfcast.ingest.generator import generate

FEATURES = FeatureSet(horizon_weeks=8)
#: Number of rows above which a run is measured once; below it, three times after a warm-up.
REPEATED_ROWS = 1_000_000
SAMPLE_SECONDS = 0.05
Tables = tuple[pa.Table, pa.Table, pa.Table]


def main(size: tuple[int, int, int], workers: list[int]) -> dict[str, object]:
    """Returns the measurements: rows, seconds by number of workers, and MiB."""
    tables = snapshot_tables(*size)
    seconds, peaks = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / str(number) for number in workers]
        for number, folder in zip(workers, folders, strict=True):
            folder.mkdir()
            if number == 0:
                seconds[number] = median_seconds(write_by_pandas, folder, tables)
                continue
            with warm_ray(number), peak_mib() as peak:
                seconds[number] = median_seconds(write_on_ray, folder, tables)
            peaks.append(peak())
        for folder in folders[1:]:
            require_equal(folders[0], folder)
    return {"salesRows": len(tables[0]), "seconds": seconds, "peakMiB": max(peaks)}


def median_seconds(write: Callable[[Path, Tables], None], folder: Path, tables: Tables) -> float:
    """Returns the seconds of one run of a writer."""
    seconds = []
    for _ in range(4 if len(tables[0]) < REPEATED_ROWS else 1):
        begin = time.perf_counter()
        write(folder, tables)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:] or seconds)


def write_by_pandas(folder: Path, tables: Tables) -> None:
    """Writes the series files in this process."""
    pandas_features.write(folder, *tables, FEATURES.horizon_weeks)


def write_on_ray(folder: Path, tables: Tables) -> None:
    """Writes the series files as the features job does."""
    for _ in cluster.start_series(training_data.prepare(*tables), folder, FEATURES):
        pass


@contextmanager
def warm_ray(workers: int) -> Iterator[None]:
    """Runs Ray on this machine, with workers that have imported all modules they need."""
    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        with tempfile.TemporaryDirectory() as folder:
            # One task for each worker.
            weeks = -(-cluster.CELLS_PER_TASK * workers // 4000)
            write_on_ray(Path(folder), snapshot_tables(50, 80, weeks))
        yield
    finally:
        ray.shutdown()


def snapshot_tables(stores: int, departments: int, weeks: int) -> Tables:
    """Returns generated sales, store weeks and stores."""
    tables = generate(stores, departments, weeks, 1).tables
    return tables["sales"], tables["store_week"], tables["store"]


def require_equal(one: Path, other: Path) -> None:
    """Compares series files: keys and nulls exactly, values to 9 digits or a millionth of a dollar.

    Raises:
        AssertionError: They differ, so that times cannot be compared.
    """
    for number in range(training_data.SERIES_FILES):
        files = [pq.read_table(training_data.series_path(folder, number)) for folder in (one, other)]
        # The peer makes no structural forecast: nobody writes one in a notebook.
        names = [name for name in files[0].column_names if not name.startswith(STRUCTURAL)]
        assert sorted(names) == sorted(files[1].column_names)
        for name in names:
            ours, theirs = (rows[name].to_numpy() for rows in files)
            if name == "origin":
                ours, theirs = ours.astype("datetime64[D]"), theirs.astype("datetime64[D]")
            if name in ("store", "dept", "origin"):
                np.testing.assert_array_equal(ours, theirs, err_msg=name)
            else:
                np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-6, err_msg=name)


@contextmanager
def peak_mib() -> Iterator[Callable[[], int]]:
    """Samples the memory of this process and its descendants; yields a function for the peak in MiB."""
    peak, ended = 0, threading.Event()

    def sample() -> None:
        nonlocal peak
        me = psutil.Process()
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, sum(proportional_bytes(p) for p in (me, *me.children(recursive=True))))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield lambda: peak // 2**20
    finally:
        ended.set()
        thread.join()


def proportional_bytes(process: psutil.Process) -> int:
    """Returns a process' proportional memory (shared pages count once in the sum); 0 after its end."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    stores, departments, weeks, *workers = map(int, sys.argv[1:])
    print(json.dumps(main((stores, departments, weeks), workers)))
