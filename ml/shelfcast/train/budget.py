"""Time limits of a training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

Limit = Literal["wallTime", "gpuSeconds"]


class Budget:
    """Time spent by one training over all its starts, and its limits.

    Time after the last checkpoint of a killed start is not counted: its work is lost.
    """

    def __init__(self, spec: Mapping[str, Any], gpus: int) -> None:
        """Starts the clock.

        Args:
            spec: The TrainSpec; ``maxWallTimeMinutes`` and ``gpuSeconds`` may be absent.
            gpus: Number of GPUs over all processes; 0 means that GPU seconds never pass.
        """
        minutes, gpu_seconds = spec.get("maxWallTimeMinutes"), spec.get("gpuSeconds")
        limits: dict[Limit, float | None] = {
            "wallTime": None if minutes is None else 60 * minutes,
            "gpuSeconds": gpu_seconds,
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
