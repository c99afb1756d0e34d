"""One of two processes finds bad data; both print what they heard of it."""

from __future__ import annotations

from shelfcast.job import UserError
from shelfcast.train.distributed import init_distributed

with init_distributed() as processes:

    def work() -> None:
        """Checks what this process read."""
        if processes.rank == 1:
            raise UserError("BadData", "process 1 refuses")

    try:
        processes.raise_together(work)
    except UserError as error:
        print(f"{processes.rank}: {error.type}: {error}\n", end="", flush=True)
