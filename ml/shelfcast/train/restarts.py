"""Record of a training's starts, and the rules that stop useless restarts.

``starts.txt`` has a line for each start: the epoch it resumed from. ``failures.jsonl`` has a line for each
process that failed with an exception. Two rules end a training that keeps failing:

- The same exception after the same step in two consecutive starts: a third start would fail there too.
- ``MAX_DEATHS`` consecutive starts from the same epoch, whatever ended them. A process killed from outside
  leaves no exception. Once or twice that is a lost machine; each time before the next checkpoint it is
  usually a lack of memory, and a platform that restarts jobs would do so forever.
"""

from __future__ import annotations

import contextlib
import json
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shelfcast.contracts.wire import decode, encode
from shelfcast.job import UserError

MAX_DEATHS = 3
_TRACEBACK_LINES = 12


@dataclass(frozen=True)
class Failure:
    """Line of ``failures.jsonl``.

    Attributes:
        start: Number of the start, from 1.
        step: Step after which the process failed.
        error: Type and message of the exception.
        lines: End of its traceback.
    """

    start: int
    step: int
    error: str
    lines: list[str]


class Restarts:
    """Starts and failures of one training folder."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "starts.txt"
        self._failures = directory / "failures.jsonl"
        self._progress = directory / "progress.jsonl"
        self._start = 0
        self._step: Callable[[], int] = int

    def epochs(self) -> list[int]:
        """Returns the epoch that each start resumed from, oldest first."""
        if not self._path.exists():
            return []
        return [int(line) for line in self._path.read_text(encoding="utf-8").split()]

    def record(self, epoch: int) -> None:
        """Records a start; only rank 0 calls this.

        Args:
            epoch: Epoch that it resumes from.

        Raises:
            UserError: A rule forbids another start.
        """
        self._refuse_useless(epoch)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{epoch}\n")
            file.flush()
            os.fsync(file.fileno())

    def begin(self, start: int, step: Callable[[], int]) -> None:
        """Sets the number of this start, from 1, and a callback for the current step, in each process."""
        self._start, self._step = start, step

    @contextlib.contextmanager
    def recording_failure(self) -> Iterator[None]:
        """Records the exception that ends this process, except a UserError."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if self._start > 0:
                self._record_failure(error)
            raise

    def _record_failure(self, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error)).splitlines()
        failure = Failure(
            self._start, self._step(), f"{type(error).__name__}: {error}", trace[-_TRACEBACK_LINES:]
        )
        # A single write, since other processes append too.
        with self._failures.open("a", encoding="utf-8") as file:
            file.write(json.dumps(encode(failure)) + "\n")

    def _refuse_useless(self, epoch: int) -> None:
        starts = self.epochs()
        last = self._failed(len(starts))
        before = {(failure.step, failure.error) for failure in self._failed(len(starts) - 1)}
        for failure in last:
            if (failure.step, failure.error) in before:
                raise UserError(
                    "JobFailed",
                    f"the training failed twice after step {failure.step} with the same error; it is not "
                    "restarted. Its last output:\n" + "\n".join(failure.lines),
                )
        if starts[-MAX_DEATHS:] == [epoch] * MAX_DEATHS:
            if last:
                why = "Its last output:\n" + "\n".join(last[-1].lines)
            else:
                why = (
                    "Its processes were killed from outside, as when memory runs out: see the log of the job "
                    f"and of the machine. Its last progress: {self._last_progress()}"
                )
            raise UserError(
                "JobFailed",
                f"the training died {MAX_DEATHS} times in a row after epoch {epoch} and before its next "
                f"checkpoint; it is not restarted. {why}",
            )

    def _failed(self, start: int) -> list[Failure]:
        if not self._failures.exists():
            return []
        failures = []
        for line in self._failures.read_text(encoding="utf-8").splitlines():
            # A killed process may have written half a line.
            with contextlib.suppress(ValueError):
                failures.append(decode(Failure, json.loads(line), self._failures.name))
        return [failure for failure in failures if failure.start == start]

    def _last_progress(self) -> str:
        if not self._progress.exists():
            return "nothing"
        lines = self._progress.read_text(encoding="utf-8").split("\n")[:-1]
        return str(json.loads(lines[-1])["message"]) if lines else "nothing"
