"""Grows the trees of the example in each process that torchrun starts; the first prints their bytes' hash."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from fitted_trees import fitted_trees

from shelfcast.train.distributed import init_distributed

if __name__ == "__main__":
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with init_distributed() as processes:
        bits = fitted_trees(spec, processes).bits()
    if processes.first:
        print(hashlib.sha256(bits).hexdigest())
