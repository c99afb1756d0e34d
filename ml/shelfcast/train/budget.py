"""Time limits of a training."""

from __future__ import annotations

import time
from typing import Literal

from shelfcast.contracts.specs import TrainSpec

Limit = Literal["wallTime", "gpuSeconds"]


class Budget:
    """Time spent by one training over all its starts, and its limits.

    Time after the last checkpoint of a killed start is not counted: its work is lost.
    """

    def __init__(self, spec: TrainSpec, gpus: int) -> None:
        """Starts the clock.

        Args:
            spec: Spec of the training.
            gpus: Number of GPUs over all processes; 0 means that GPU seconds never pass.
        """
        minutes = spec.max_wall_time_minutes
        limits: dict[Limit, float | None] = {
            "wallTime": None if minutes is None else 60 * minutes,
            "gpuSeconds": spec.gpu_seconds,
        }
        self._limits = {limit: seconds for limit, seconds in limits.items() if seconds is not None}
        self._gpus = gpus
        self._before: dict[Limit, float] = {"wallTime": 0.0, "gpuSeconds": 0.0}
        self._since = time.monotonic()

    @property
    def limited(self) -> bool:
        """Whether the training has any limit."""
        return bool(self._limits)

    def spent(self) -> dict[Limit, float]:
        """Returns the seconds spent so far."""
        seconds = time.monotonic() - self._since
        return {
            "wallTime": self._before["wallTime"] + seconds,
            "gpuSeconds": self._before["gpuSeconds"] + self._gpus * seconds,
        }

    def restore(self, spent: dict[Limit, float]) -> None:
        """Continues from the time that earlier starts spent."""
        self._before = spent
        self._since = time.monotonic()

    def used_up(self) -> Limit | None:
        """Returns the limit that has been reached, if any."""
        spent = self.spent()
        return next((limit for limit, seconds in self._limits.items() if spent[limit] >= seconds), None)
