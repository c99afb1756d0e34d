"""The starts of a training, and when another one is in vain.

``starts.txt`` has a line for each start: the epoch that it went on from. ``failures.jsonl`` has a line for
each process that ended by an error of its own. Two rules end a training that is started again and again:

- the same error after the same step in two starts in a row: a third would end there too;
- ``MOST_DEATHS`` starts in a row from the same epoch, whatever ended them. A process that something outside
  kills has no error of its own: once or twice, that is a machine that went away. Every time before the next
  checkpoint, it is most often the memory, and a platform that starts jobs anew would do so for ever.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shelfcast.job import UserError

MOST_DEATHS = 3
_TRACEBACK_LINES = 12


class Starts:
    """The starts of one training folder."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "starts.txt"
        self._failures = directory / "failures.jsonl"
        self._progress = directory / "progress.jsonl"
        self._start = 0
        self._step: Callable[[], int] = int

    def epochs(self) -> list[int]:
        """Returns the epoch that each start went on from, oldest first."""
        if not self._path.exists():
            return []
        return [int(line) for line in self._path.read_text(encoding="utf-8").split()]

    def note(self, epoch: int) -> None:
        """Notes a start, in the first process.

        Args:
            epoch: That it goes on from.

        Raises:
            UserError: Another start is in vain.
        """
        self._refuse_in_vain(epoch)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{epoch}\n")
            file.flush()
            os.fsync(file.fileno())

    def count(self, start: int, step: Callable[[], int]) -> None:
        """Says in each process which start this is, counted from 1, and how to learn the step it is in."""
        self._start, self._step = start, step

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Notes what ends this process, unless the user's input is at fault."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if self._start > 0:
                self._note_failure(error)
            raise

    def _note_failure(self, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error)).splitlines()
        failure = {
            "start": self._start,
            "step": self._step(),
            "error": f"{type(error).__name__}: {error}",
            "lines": trace[-_TRACEBACK_LINES:],
        }
        # One write: other processes append too.
        with self._failures.open("a", encoding="utf-8") as file:
            file.write(json.dumps(failure) + "\n")

    def _refuse_in_vain(self, epoch: int) -> None:
        starts = self.epochs()
        last = self._failed(len(starts))
        before = {(failure["step"], failure["error"]) for failure in self._failed(len(starts) - 1)}
        for failure in last:
            if (failure["step"], failure["error"]) in before:
                raise UserError(
                    "JobFailed",
                    f"the training failed twice after step {failure['step']} with the same error; it is not "
                    "started again. It last printed:\n" + "\n".join(failure["lines"]),
                )
        if starts[-MOST_DEATHS:] == [epoch] * MOST_DEATHS:
            if last:
                why = "It last printed:\n" + "\n".join(last[-1]["lines"])
            else:
                why = (
                    "Its processes were killed from outside, as when memory runs out: see the log of the job "
                    f"and of the machine. It had last told: {self._last_told()}"
                )
            raise UserError(
                "JobFailed",
                f"the training died {MOST_DEATHS} times in a row after epoch {epoch} and before its next "
                f"checkpoint; it is not started again. {why}",
            )

    def _failed(self, start: int) -> list[dict[str, Any]]:
        if not self._failures.exists():
            return []
        # A killed process may have written half a line; it is then nobody's last words.
        lines = self._failures.read_text(encoding="utf-8").split("\n")[:-1]
        return [failure for failure in map(json.loads, lines) if failure["start"] == start]

    def _last_told(self) -> str:
        if not self._progress.exists():
            return "nothing"
        lines = self._progress.read_text(encoding="utf-8").split("\n")[:-1]
        return str(json.loads(lines[-1])["message"]) if lines else "nothing"
