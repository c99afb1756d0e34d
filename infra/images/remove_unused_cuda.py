"""Removes CUDA's files that no program of shelfcast loads on a machine without a GPU.

torch's wheel is linked to most of CUDA's libraries and cannot be imported without them. The other files,
1 GB, are loaded when a GPU is first used (cuDNN's engines), or read by compilers (headers, device code).
"""

import os
import shutil
import sys
from pathlib import Path

import torch
import torch.distributed
import torch.onnx

PACKAGES = Path(torch.__file__).parent.parent
LIBRARIES = PACKAGES / "nvidia"


def loaded_files() -> set[Path]:
    """Returns the files that this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {Path(line.split(maxsplit=5)[5]) for line in lines if "/" in line}


def is_only_for_gpus(path: Path, loaded: set[Path]) -> bool:
    """Whether a file of CUDA's packages can be removed; licenses and files that Python reads stay."""
    if "include" in path.parts or "cccl" in path.parts:
        return True
    return path.suffix in {".a", ".bc"} or (".so" in path.name and path.resolve() not in loaded)


def main() -> None:
    """Removes the files and prints their total size."""
    loaded = loaded_files()
    unused = [path for path in LIBRARIES.rglob("*") if path.is_file() and is_only_for_gpus(path, loaded)]
    size = sum(path.lstat().st_size for path in unused)
    for path in unused:
        path.unlink()
    shutil.rmtree(PACKAGES / "torch" / "include")
    print(f"removed {len(unused)} files of CUDA, {size / 1e6:.0f} MB", flush=True)
    # A new process proves that what is left suffices.
    os.execv(sys.executable, [sys.executable, "-c", "import torch, torch.distributed, torch.onnx"])


main()
