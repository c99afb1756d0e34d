"""``online_read.py STORES DEPARTMENTS WEEKS [wide]``: milliseconds of reading online features, as JSON.

Prints one line, ``{"entities": {"1": {"predictor": [p50, p99], "sdk": [...], "server": [...]}, "10": ...,
"100": ...}}``, for 1, 10 and 100 series. Each read returns all features of a model for one week
ahead. Readers: the predictor, Feast's Python SDK, and Feast's feature server over HTTP, which this program
starts. The SDK and the server read Feast's ``postgres`` store, with ``wide`` the project's store. All answers
are compared before they are timed. The database is the one of ``DATABASE_URL``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from feast import FeatureStore
from materialization import FEATURES, SOURCE, STOCK, open_store, project_of, write_offline

from shelfcast.contracts.model import ModelManifest
from shelfcast.contracts.wire import encode
from shelfcast.database import connect
from shelfcast.features import materialization, offline_tables, training_data
from shelfcast.features.materialization import Window
from shelfcast.features.skew import Keys
from shelfcast.features.version import feature_set_version
from shelfcast.ingest.generator import generate
from shelfcast.job import database_url

PROJECT_DIR = Path(__file__).resolve().parents[2]
HORIZON = 1
#: Number of timed reads by number of entities; each reads a random sample that was read before. The feature
#: server restarts its worker after a thousand requests.
READS = {1: 200, 10: 200, 100: 50}
#: Store, dept and target week of each series.
Rows = list[Keys]
Values = list[list[float | None]]
Read = Callable[[Rows], Values]

MODEL_FEATURES = FEATURES.model_features
REFS = [f"{f.view}:{f.column.replace('{horizon}', str(HORIZON))}" for f in MODEL_FEATURES]
COLUMNS = [ref.partition(":")[2] for ref in REFS]


def main(stores: int, departments: int, weeks: int, *wide: str) -> dict[str, object]:
    """Returns the median and the 99th percentile of each reader, by number of entities."""
    url = database_url()
    tables = generate(stores, departments, weeks, 1).tables
    inputs = training_data.prepare(tables["sales"], tables["store_week"], tables["store"])
    window = Window(*inputs.weeks)
    write_offline(url, inputs, 0)
    ours = open_store("shelfcast", url, {})
    stock = open_store("feastLocal", url, {**STOCK, "batch_engine": {"type": "local"}})
    for store in (ours, stock):
        materialization.materialize(store, window)
    with connect(url) as connection:
        materialization.move_watermark(connection, ours.project, window.end, "bench-1-000000000000")
    samples = random_samples(url)
    predictor = read_by_predictor(samples)
    read_from = ours if wide else stock
    with feature_server(read_from) as server:
        readers = {"sdk": by_sdk(read_from), "server": by_server(server)}
        entities = {
            count: {
                "predictor": percentiles(predictor["milliseconds"][str(count)]),
                **{
                    name: percentiles(timed(name, read, rows, predictor["values"][str(count)]))
                    for name, read in readers.items()
                },
            }
            for count, rows in samples.items()
        }
    return {"entities": entities}


def random_samples(url: str) -> dict[int, list[Rows]]:
    """Returns series that have sales in the last weeks, with their target week."""
    rng = np.random.default_rng(1)
    table = offline_tables.table_name(SOURCE, "sales_history")
    with connect(url) as connection:
        newest = connection.execute(
            f"select store, dept, max(event_timestamp)::date from feast_offline.{table} "
            "group by 1, 2 order by 1, 2"
        ).fetchall()
    last = max(origin for _, _, origin in newest)
    rows = [
        Keys(store=store, dept=dept, week=(origin + timedelta(weeks=HORIZON)).isoformat())
        for store, dept, origin in newest
        if origin == last
    ]
    return {
        count: [[rows[n] for n in rng.choice(len(rows), count, replace=False)] for _ in range(reads)]
        for count, reads in READS.items()
    }


def read_by_predictor(samples: dict[int, list[Rows]]) -> dict[str, Any]:
    """Returns the values and the times of the predictor's reads, by number of entities."""
    manifest = ModelManifest(
        preset="bench",
        dataset="bench",
        feast_project=project_of("shelfcast"),
        snapshot_id="bench",
        feature_set_version=feature_set_version(FEATURES),
        horizon_weeks=FEATURES.horizon_weeks,
        quantiles=[0.1, 0.5, 0.9],
        features=MODEL_FEATURES,
        onnx_sha256="0" * 64,
    )
    answer = subprocess.run(
        ["node", "--import", "tsx", "bench/measure/online_read.ts"],
        input=json.dumps({"manifest": encode(manifest), "reads": samples, "horizon": HORIZON}),
        stdout=subprocess.PIPE,
        cwd=PROJECT_DIR,
        check=True,
        text=True,
    )
    read: dict[str, Any] = json.loads(answer.stdout)
    return read


def by_sdk(store: FeatureStore) -> Read:
    """Returns a reader by Feast's Python SDK."""

    def read(rows: Rows) -> Values:
        answer = store.get_online_features(REFS, rows).to_dict()
        return [answer[column] for column in COLUMNS]

    return read


def by_server(server: HTTPConnection) -> Read:
    """Returns a reader by Feast's feature server, on a connection that stays open."""

    def read(rows: Rows) -> Values:
        asked = {"features": REFS, "entities": {key: [row[key] for row in rows] for key in rows[0]}}
        headers = {"content-type": "application/json"}
        server.request("POST", "/get-online-features", json.dumps(asked), headers)
        response = server.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"the feature server answered {response.status}: {answer}")
        names = answer["metadata"]["feature_names"]
        return [answer["results"][names.index(column)]["values"] for column in COLUMNS]

    return read


@contextmanager
def feature_server(store: FeatureStore) -> Iterator[HTTPConnection]:
    """Runs ``feast serve`` for a store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = store.config.model_dump(exclude_unset=True, by_alias=True, mode="json")
        Path(folder, "feature_store.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [Path(sys.executable).parent / "feast", "-c", folder, "serve", "--no-access-log"]
        with subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)], stdout=sys.stderr, env=os.environ
        ) as process:
            try:
                yield connected(process, port)
            finally:
                process.terminate()


def connected(process: subprocess.Popen[bytes], port: int) -> HTTPConnection:
    """Waits for the server to answer; returns a connection to it."""
    while process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/health")
            connection.getresponse().read()
            return connection
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise RuntimeError(f"feast serve ended with {process.returncode} before it answered")


def timed(name: str, read: Read, samples: list[Rows], expected: Values) -> list[float]:
    """Returns the milliseconds of reading each sample.

    Raises:
        RuntimeError: The reader reads other values than the predictor.
    """
    for rows, values in zip(samples, expected, strict=True):
        # The predictor's values are in row order.
        columns = [values[n :: len(COLUMNS)] for n in range(len(COLUMNS))]
        if read(rows) != columns:
            raise RuntimeError(f"the {name} and the predictor read different values of {rows}")
    milliseconds = []
    for rows in samples:
        begin = time.perf_counter()
        read(rows)
        milliseconds.append((time.perf_counter() - begin) * 1_000)
    return milliseconds


def percentiles(milliseconds: list[float]) -> list[float]:
    """Returns the median and the 99th percentile."""
    return [round(float(value), 3) for value in np.percentile(milliseconds, [50, 99])]


if __name__ == "__main__":
    stores, departments, weeks, *wide = sys.argv[1:]
    print(json.dumps(main(int(stores), int(departments), int(weeks), *wide)))
