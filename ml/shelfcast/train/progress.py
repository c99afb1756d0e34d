"""Progress of a training within an epoch; epochs of real data take minutes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from shelfcast.contracts.results import StepMetrics
from shelfcast.job import report_progress

_REPORT_INTERVAL_SECONDS = 5.0
#: Longer times are shown in minutes.
_MAX_SECONDS_SHOWN = 100


class ProgressReporter:
    """Appends the step, loss and time left to ``progress.jsonl``, at most every few seconds."""

    def __init__(self, directory: Path, max_epochs: int, steps: int, epochs_before: int = 0) -> None:
        """Starts the clock.

        Args:
            directory: The job's folder.
            max_epochs: Upper bound of epochs.
            steps: Steps per epoch.
            epochs_before: Epochs of a search before the training; they count in the fraction.
        """
        self._directory = directory
        self._max_epochs = max_epochs
        self._steps = steps
        self._epochs_before = epochs_before
        self._started = self._reported = time.monotonic()
        self._steps_of_start = 0

    def step(self, epoch: int, step: int, loss: Callable[[], float]) -> None:
        """Callback after a step.

        Args:
            epoch: Current epoch, from 1.
            step: Step of the epoch, from 1.
            loss: Returns the mean loss of the epoch so far, US dollars.
        """
        self._steps_of_start += 1
        now = time.monotonic()
        if now - self._reported < _REPORT_INTERVAL_SECONDS:
            return
        self._reported = now
        done = (epoch - 1) * self._steps + step
        # Only this start counts: an earlier one may have run on another machine. Validation and checkpoints
        # count.
        eta = (now - self._started) / self._steps_of_start * (self._max_epochs * self._steps - done)
        mean = loss()
        # A diverged loss ends the training after the epoch; NaN can also mean no samples yet.
        if not math.isfinite(mean):
            return
        report_progress(
            self._directory,
            f"epoch {epoch} of at most {self._max_epochs}, step {step} of {self._steps}: "
            f"loss {mean:.2f}, at most {_duration(eta)} left",
            fraction=(self._epochs_before * self._steps + done)
            / (self._steps * (self._epochs_before + self._max_epochs + 1)),
            training=StepMetrics(
                epoch=epoch, step=step, steps=self._steps, loss=mean, eta_seconds=round(eta, 1)
            ),
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MAX_SECONDS_SHOWN else f"{seconds / 60:.0f} min"
