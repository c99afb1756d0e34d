"""How long a training may take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

Limit = Literal["wallTime", "gpuSeconds"]


class Budget:
    """The time of one training, over all its starts.

    What a killed start did after its last checkpoint is not counted: nothing of it is left.
    """

    def __init__(self, spec: Mapping[str, Any], gpus: int) -> None:
        """Counts from now on.

        Args:
            spec: The TrainSpec; ``maxWallTimeMinutes`` and ``gpuSeconds`` may be absent.
            gpus: Number of GPUs of all processes; without one no GPU seconds pass.
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
        """Whether there is a limit at all."""
        return bool(self._limits)

    def spent(self) -> dict[Limit, float]:
        """Returns the seconds so far."""
        seconds = time.monotonic() - self._since
        return {
            "wallTime": self._before["wallTime"] + seconds,
            "gpuSeconds": self._before["gpuSeconds"] + self._gpus * seconds,
        }

    def restore(self, spent: dict[Limit, float]) -> None:
        """Goes on from what an earlier start had spent."""
        self._before = spent
        self._since = time.monotonic()

    def used_up(self) -> Limit | None:
        """Returns the limit that is reached, if any."""
        spent = self.spent()
        return next((limit for limit, seconds in self._limits.items() if spent[limit] >= seconds), None)
