"""Tells how far a training is while an epoch runs; epochs of real data take minutes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from shelfcast.job import report_progress

_TELL_EVERY_SECONDS = 5.0
#: Longer times are told in minutes.
_SECONDS_TOLD = 100


class StepTeller:
    """Appends to ``progress.jsonl`` where one start of a training is, at most every few seconds."""

    def __init__(self, directory: Path, max_epochs: int, steps: int, epochs_before: int = 0) -> None:
        """Begins to count time.

        Args:
            directory: The job's folder.
            max_epochs: Of the training.
            steps: Of an epoch.
            epochs_before: Of the trials of a search; they count in the share that is done.
        """
        self._directory = directory
        self._max_epochs = max_epochs
        self._steps = steps
        self._epochs_before = epochs_before
        self._begun = self._told = time.monotonic()
        self._steps_of_start = 0

    def step(self, epoch: int, step: int, loss: Callable[[], float]) -> None:
        """Notes that a step is done.

        Args:
            epoch: Counted from 1.
            step: Of the epoch, counted from 1.
            loss: Computes the mean loss of the epoch so far, US dollars.
        """
        self._steps_of_start += 1
        now = time.monotonic()
        if now - self._told < _TELL_EVERY_SECONDS:
            return
        self._told = now
        done = (epoch - 1) * self._steps + step
        # Of this start, validations and checkpoints included: an earlier one may have had another machine.
        eta = (now - self._begun) / self._steps_of_start * (self._max_epochs * self._steps - done)
        mean = loss()
        # The end of the epoch has the sentence about it; or this process had no sample yet.
        if not math.isfinite(mean):
            return
        report_progress(
            self._directory,
            f"epoch {epoch} of at most {self._max_epochs}, step {step} of {self._steps}: "
            f"loss {mean:.2f} USD, at most {_duration(eta)} left",
            fraction=(self._epochs_before * self._steps + done)
            / (self._steps * (self._epochs_before + self._max_epochs + 1)),
            training={
                "epoch": epoch,
                "step": step,
                "steps": self._steps,
                "loss": mean,
                "etaSeconds": round(eta, 1),
            },
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _SECONDS_TOLD else f"{seconds / 60:.0f} min"
