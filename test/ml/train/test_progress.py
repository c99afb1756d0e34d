"""Progress messages during a long epoch."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from shelfcast.train.progress import ProgressReporter


def test_every_few_seconds_it_tells_step_loss_and_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("shelfcast.train.progress.time", SimpleNamespace(monotonic=lambda: clock.now))
    computed = []

    def loss() -> float:
        computed.append(clock.now)
        return 12.345

    # Resumed after two of four epochs of 100 steps; a step takes half a second.
    reporter = ProgressReporter(tmp_path, max_epochs=4, steps=100)
    for step in range(1, 26):
        clock.now += 0.5
        reporter.step(3, step, loss)
    lines = (tmp_path / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "message": f"epoch 3 of at most 4, step {step} of 100: loss 12.35, at most {left} left",
            "fraction": (200 + step) / 500,
            "training": {"epoch": 3, "step": step, "steps": 100, "loss": 12.345, "etaSeconds": eta},
        }
        for step, eta, left in ((10, 95.0, "95 s"), (20, 90.0, "90 s"))
    ]
    # It is worth no wait for a GPU in other steps.
    assert computed == [105.0, 110.0]


def test_a_long_time_is_told_in_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("shelfcast.train.progress.time", SimpleNamespace(monotonic=lambda: clock.now))
    reporter = ProgressReporter(tmp_path, max_epochs=1, steps=61)
    clock.now = 60.0
    reporter.step(1, 1, lambda: 1.0)
    lines = (tmp_path / "progress.jsonl").read_text(encoding="utf-8")
    assert "at most 60 min left" in lines
    clock.now = 120.0
    reporter.step(1, 2, lambda: float("nan"))
    assert (tmp_path / "progress.jsonl").read_text(encoding="utf-8") == lines
