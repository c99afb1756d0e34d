"""``python -m shelfcast.features --dir DIR``: from a snapshot to training data and online features.

Runs on a Ray cluster, as the driver of a Ray job; needs ``DATABASE_URL``.
"""

from __future__ import annotations

import ray

from shelfcast import job
from shelfcast.contracts.specs import FeaturesSpec
from shelfcast.features.build import build_features

if __name__ == "__main__":
    ray.init(address="auto")
    job.main(build_features, FeaturesSpec)
