"""The job on a GPU, where there is one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from train_example import Example, epochs_reported, finish, progress, result, start

from shelfcast.models.presets import PRESETS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")

OPTIONS = {"maxEpochs": 4, "batchSize": 64, "processes": 1}


def train_on_cpu(directory: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "shelfcast.train", "--dir", directory.as_uri()]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment)
    return result(directory)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_training_that_is_killed_ends_with_the_same_bytes(
    example: Example, tmp_path: Path, preset: str
) -> None:
    whole = example.job(tmp_path / "whole", preset=preset, **OPTIONS)
    code, output = finish(start(whole, 1))
    assert code == 0, output
    killed = example.job(tmp_path / "killed", preset=preset, **OPTIONS)
    for epochs in (1, 2):
        launcher = start(killed, 1)
        while epochs_reported(killed) < epochs:
            assert launcher.poll() is None, finish(launcher)
            time.sleep(0.01)
        time.sleep(random.uniform(0, result(whole)["epochs"][epochs]["seconds"]))
        os.kill(launcher.pid, signal.SIGKILL)
        finish(launcher)
    code, output = finish(start(killed, 1))
    assert code == 0, output
    one, other = result(whole), result(killed)
    assert other["startedFromEpochs"][1:] >= [1, 2]
    assert other["modelHash"] == one["modelHash"]


def test_it_computes_what_a_cpu_does(example: Example, tmp_path: Path) -> None:
    gpu = example.job(tmp_path / "gpu", **OPTIONS)
    code, output = finish(start(gpu, 1))
    assert code == 0, output
    cpu = train_on_cpu(example.job(tmp_path / "cpu", **OPTIONS))
    assert result(gpu)["modelHash"] != cpu["modelHash"]
    for what in ("trainLoss", "validationLoss"):
        losses, expected = ([epoch[what] for epoch in trained["epochs"]] for trained in (result(gpu), cpu))
        assert losses[0] == pytest.approx(expected[0], rel=1e-3)
        # Sums in another order differ in the last bits, and small batches make more of it with each step.
        assert losses == pytest.approx(expected, rel=0.05)


def test_it_goes_on_where_a_cpu_was_and_says_so(example: Example, tmp_path: Path) -> None:
    directory = example.job(tmp_path / "job", preset="mlp-11", **OPTIONS)
    train_on_cpu(directory)
    (directory / "checkpoints" / "epoch-0004.json").unlink()
    (directory / "result.json").unlink()
    code, output = finish(start(directory, 1))
    assert code == 0, output
    messages = [line["message"] for line in progress(directory)]
    assert any("after epoch 3 with other processes (1 on cuda, was 1 on cpu)" in text for text in messages)
