"""The process group of a training: ranks, devices and collectives.

The same code runs under ``shelfcast.ranks``, under ``torchrun`` and as a plain program with one process.
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

from shelfcast.contracts.results import ErrorType
from shelfcast.job import UserError

T = TypeVar("T")

#: Timeout of collectives: if a rank dies and its launcher does not end the others, they fail after this.
_TIMEOUT = timedelta(minutes=10)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Processes:
    """The process group, from this process.

    Attributes:
        rank: Rank of this process, 0 to world_size - 1; only rank 0 writes files.
        world_size: Number of processes.
        device: Device of this process.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def description(self) -> str:
        """Number of processes and type of device; the same ones compute the same bits."""
        return f"{self.world_size} on {self.device.type}"

    @property
    def is_rank_0(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def all_reduce_sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the sum over all processes, in float64."""
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor)
        result: NDArray[np.float64] = tensor.numpy()
        return result

    def gather(self, value: T) -> list[T]:
        """Returns the values of all processes, by rank."""
        values: list[T | None] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Copies the tensors of rank 0 to all processes, in place."""
        for tensor in tensors:
            dist.broadcast(tensor, src=0)

    def raise_together(self, work: Callable[[], T]) -> T:
        """Runs work in each process; a UserError of one is raised in all of them.

        Raises:
            UserError: The error of the lowest rank.
        """
        result: T | None = None
        error: tuple[ErrorType, str] | None = None
        try:
            result = work()
        except UserError as wrong:
            error = wrong.type, str(wrong)
        for first_error in self.gather(error):
            if first_error is not None:
                raise UserError(*first_error)
        return result  # type: ignore[return-value]


@contextmanager
def init_distributed() -> Iterator[Processes]:
    """Initializes the launcher's process group, or one of this process alone; makes training deterministic.

    A resumed training must give the same bytes, so algorithms are deterministic and each process has one
    thread.
    """
    torch.use_deterministic_algorithms(True)
    # It fills every new tensor, with one kernel each on a GPU, to expose reads of uninitialized memory. Tests
    # that compare the bytes of two trainings expose them too.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # NCCL needs a GPU for each process.
    cuda = torch.cuda.device_count() >= local_size
    device = torch.device("cpu")
    if cuda:
        # Required by torch.use_deterministic_algorithms.
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    if "RANK" in os.environ:
        _die_with_launcher()
        # Ranks of one machine meet at a file, those of torchrun where its variables say.
        dist.init_process_group(
            backend,
            init_method=os.environ.get("SHELFCAST_RENDEZVOUS", "env://"),
            rank=int(os.environ["RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
            timeout=_TIMEOUT,
        )
    else:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1, timeout=_TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def _die_with_launcher() -> None:
    """Makes the kernel end this process when its launcher is killed; else it would train on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
