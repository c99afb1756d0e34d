"""``python -m shelfcast.ranks --processes N MODULE ARGUMENTS``: a module in N processes of this machine.

The processes are forks of this one, which has imported PyTorch and what the module imports. torchrun and each
process that it starts would import them again, which takes longer than a small training.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import runpy
import sys
import tempfile
from pathlib import Path

_PR_SET_NAME = 15


def main() -> None:
    """Runs the module; a process that fails ends the others and gives the exit status.

    Raises:
        SystemExit: A process failed.
    """
    parser = argparse.ArgumentParser(prog="python -m shelfcast.ranks", description=__doc__)
    parser.add_argument("--processes", type=int, required=True, help="number of processes")
    parser.add_argument("module", help="name of the module, which runs as with python -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the module")
    options = parser.parse_args()
    # As torchrun does. OpenMP and OpenBLAS read it when they are imported; a fork has none of their threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch
    from torch.multiprocessing.spawn import ProcessExitedException, start_processes

    # CUDA cannot be used in a fork of a process that has looked for it.
    method = "spawn" if torch.cuda.is_available() else "fork"
    if method == "fork":
        _import(options.module)
        # Imports the compiler, which takes as long again and which every optimizer asks whether it is on.
        torch.compiler.reset()
    with tempfile.TemporaryDirectory(prefix="shelfcast-ranks-") as folder:
        rendezvous = (Path(folder) / "rendezvous").as_uri()
        arguments = (options.processes, rendezvous, options.module, options.arguments)
        try:
            start_processes(  # type: ignore[no-untyped-call]
                _run_rank, arguments, options.processes, start_method=method
            )
        except ProcessExitedException as error:
            print(f"rank {error.error_index}: {error}", file=sys.stderr)
            raise SystemExit(max(error.exit_code, 1)) from None


def _import(module: str) -> None:
    """Imports what the module will import if it is a package; the import of another module would run it."""
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations is not None:
        importlib.import_module(f"{module}.__main__")


def _run_rank(rank: int, processes: int, rendezvous: str, module: str, arguments: list[str]) -> None:
    """Runs the module as one of the processes, with torchrun's environment variables for one machine."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"rank {rank}".encode())
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(value) for name, value in place.items()}, SHELFCAST_RENDEZVOUS=rendezvous)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
