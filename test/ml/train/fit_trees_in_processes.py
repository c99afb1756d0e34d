"""Grows the trees of the example in each process; the first prints their bytes' hash."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from fitted_trees import fitted_trees

from shelfcast.contracts.specs import TrainSpec
from shelfcast.job import read_spec
from shelfcast.train.distributed import init_distributed

if __name__ == "__main__":
    spec = read_spec(Path(sys.argv[1]), TrainSpec)
    with init_distributed() as processes:
        bits = fitted_trees(spec, processes).bits()
    if processes.is_rank_0:
        print(hashlib.sha256(bits).hexdigest())
