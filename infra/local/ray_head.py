"""Ends the processes that a killed Ray head left behind, then becomes the new head.

``ray_head.py FOLDER COMMAND...``, where FOLDER is Ray's folder: ends each process that has
``SHELFCAST_RAY_HEAD=FOLDER`` in its environment, and each process of Ray that has a file below FOLDER open
(Ray's workers overwrite their environment with their title). Then executes COMMAND.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

VARIABLE = "SHELFCAST_RAY_HEAD"


def belongs(process: Path, folder: str) -> bool:
    """Whether a head with this folder started the process (a folder of /proc)."""
    try:
        if f"{VARIABLE}={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
            return True
        # Only processes of Ray: somebody may just read a log.
        if not (process / "comm").read_text().startswith("ray"):
            return False
        return any(str(file.readlink()).startswith(f"{folder}/") for file in (process / "fd").iterdir())
    except OSError:  # The process ended meanwhile, or is another user's.
        return False


def end_leftovers(folder: str) -> None:
    """Kills the processes until none is left: a dying process may start another."""
    for _ in range(100):
        pids = [
            int(process.name)
            for process in Path("/proc").iterdir()
            if process.name.isdigit() and int(process.name) != os.getpid() and belongs(process, folder)
        ]
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    raise SystemExit(f"processes {pids} of an earlier Ray head do not end")


def main() -> None:
    """Runs the program."""
    folder, *command = sys.argv[1:]
    end_leftovers(folder)
    # The folder holds sessions of earlier heads, which nothing uses again.
    shutil.rmtree(folder, ignore_errors=True)
    os.environ[VARIABLE] = folder
    os.execv(command[0], command)


main()
