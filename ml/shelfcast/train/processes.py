"""The processes of one training: who is who, and what they agree on.

The same code runs under ``torchrun`` and as a plain program (one process).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from shelfcast.job import UserError

T = TypeVar("T")

#: A rank that dies takes the others down after this at the latest, should torchrun not have done so before.
_TIMEOUT = timedelta(minutes=10)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Processes:
    """This process among all.

    Attributes:
        rank: 0 to world_size - 1; rank 0 alone writes.
        world_size: Number of processes.
        device: Where this process computes.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def described(self) -> str:
        """Number and kind of device; where these are the same, so are the bits of what is computed."""
        return f"{self.world_size} on {self.device.type}"

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the sum over all processes, in float64."""
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor)
        result: NDArray[np.float64] = tensor.numpy()
        return result

    def gather(self, value: T) -> list[T]:
        """Returns what each process gave, by rank."""
        values: list[T | None] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Sets the tensors to those of the first process, in place."""
        for tensor in tensors:
            dist.broadcast(tensor, src=0)

    def agree(self, work: Callable[[], T]) -> T:
        """Runs the work in each process; what one may find wrong with the user's data ends all of them.

        Raises:
            UserError: That of the lowest rank that had one.
        """
        result: T | None = None
        error: tuple[str, str] | None = None
        try:
            result = work()
        except UserError as wrong:
            error = wrong.type, str(wrong)
        for found in self.gather(error):
            if found is not None:
                raise UserError(*found)
        return result  # type: ignore[return-value]


@contextmanager
def joined() -> Iterator[Processes]:
    """Joins the processes that torchrun started, or stands alone; sets up exact repeatability.

    A resumed training must give the same bytes: algorithms are deterministic, each process has one thread.
    """
    torch.use_deterministic_algorithms(True)
    # It would fill every new tensor, by a kernel each on a GPU, to show reads of what was never written: two
    # trainings with the same input, which must give the same bytes, show them too.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # NCCL wants a GPU for each process.
    cuda = torch.cuda.device_count() >= local_size
    device = torch.device("cpu")
    if cuda:
        # Deterministic matrix products need it; see torch.use_deterministic_algorithms.
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    if "RANK" in os.environ:
        _die_with_launcher()
        dist.init_process_group(backend, timeout=_TIMEOUT)
    else:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1, timeout=_TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def _die_with_launcher() -> None:
    """Ends this process when torchrun is killed: it would train on, beside those of the next start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
