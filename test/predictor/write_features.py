"""Makes features of generated sales by the features job, and a model that uses all of them.

``FOLDER`` gets ``features/``, the job's own, with skew-sample.json; ``all.json``, of the same layout, with
all series with sales in the last week, each at every horizon; and ``model/``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import ray
import write_model

from shelfcast.contracts.specs import FeaturesSpec, GeneratedSource, IngestSpec
from shelfcast.features import skew
from shelfcast.features.build import build_features
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.samples import read_origin_table
from shelfcast.features.version import feature_set_version
from shelfcast.ingest import __main__ as ingest
from shelfcast.job import write_json

DATASET, PROJECT, HORIZON = "small", "shelfcast_small", 3
SOURCE = GeneratedSource(stores=12, departments=3, weeks=52, seed=5)


def write(database_url: str, folder: Path) -> None:
    """Runs ingest and features on a Ray of its own."""
    os.environ["DATABASE_URL"] = database_url
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # stay on loopback
    for name in ("ingest", "features"):
        (folder / name).mkdir()
    ingest_spec = IngestSpec(dataset=DATASET, request_id=DATASET, source=SOURCE, max_bad_row_share=0)
    snapshot = ingest.run(ingest_spec, folder / "ingest").snapshot
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    spec = FeaturesSpec(snapshot=snapshot, feast_project=PROJECT, horizon_weeks=HORIZON)
    build_features(spec, folder / "features")
    ray.shutdown()
    table = read_origin_table(folder / "features", first_origin=np.datetime64(snapshot.last_week))
    rows = np.repeat(np.arange(len(table.store)), HORIZON)
    horizons = np.tile(np.arange(1, HORIZON + 1), len(table.store))
    features = FeatureSet(HORIZON)
    sample = skew.sample_of(table, rows, horizons)
    write_json(folder / "all.json", skew.describe(sample, features, snapshot.id))
    write_model.write(
        folder / "model",
        0.0,
        [(feature.name, feature.view, feature.column) for feature in table.features],
        dataset=DATASET,
        feastProject=PROJECT,
        snapshotId=snapshot.id,
        featureSetVersion=feature_set_version(features),
        horizonWeeks=HORIZON,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("database_url")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    write(arguments.database_url, arguments.folder)
