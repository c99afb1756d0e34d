"""The job as the platform runs it: real processes, some of them killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from train_example import Example, epochs_reported, finish, progress, result, run_in_processes, start
from train_here import train_here

from shelfcast.train.restarts import Restarts

#: Small batches make epochs long enough to be killed in.
OPTIONS = {"maxEpochs": 5, "batchSize": 64}


def ranks(launcher: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text(encoding="utf-8")
    return [int(pid) for pid in children.split()]


@pytest.fixture(scope="module")
def whole(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training by two processes that nothing interrupted."""
    directory = example.job(tmp_path_factory.mktemp("train") / "whole", **OPTIONS)
    code, output = finish(start(directory))
    assert code == 0, output
    return directory


def test_a_training_killed_at_random_moments_ends_with_the_same_bytes(
    example: Example, whole: Path, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    generator = random.Random(seed)
    epoch_seconds = [epoch["seconds"] for epoch in result(whole)["epochs"]]
    killed = example.job(tmp_path / "killed", **OPTIONS)
    victims = ["rank 0", "rank 1", "launcher"]
    generator.shuffle(victims)
    for epochs, victim in enumerate(victims):
        launcher = start(killed)
        restarts = Restarts(killed)
        while epochs_reported(killed) < epochs or len(restarts.epochs()) <= epochs:
            assert launcher.poll() is None, finish(launcher)
            time.sleep(0.01)
        time.sleep(generator.uniform(0, epoch_seconds[epochs]))
        own = ranks(launcher)
        os.kill(launcher.pid if victim == "launcher" else own[int(victim[-1])], signal.SIGKILL)
        code, output = finish(launcher)
        assert code != 0, output
        wait_until_ended(own)
    assert not (killed / "result.json").exists()
    # What a process leaves that dies while it writes.
    (killed / "checkpoints" / "epoch-0099.pt").write_bytes(b"torn")

    code, output = finish(start(killed))
    assert code == 0, output
    one, other = result(whole), result(killed)
    assert len(other["startedFromEpochs"]) == 4
    assert other["startedFromEpochs"][0] == 0
    assert other["startedFromEpochs"][-1] >= 2
    assert one["startedFromEpochs"] == [0]
    assert one["stoppedBy"] == other["stoppedBy"] == "epochs"
    assert other["modelHash"] == one["modelHash"]
    graphs = [(directory / "model" / "model.onnx").read_bytes() for directory in (whole, killed)]
    assert graphs[0] == graphs[1]
    assert hashlib.sha256(graphs[0]).hexdigest() == one["modelHash"]
    losses = [[(e["trainLoss"], e["validationLoss"]) for e in r["epochs"]] for r in (one, other)]
    assert losses[0] == losses[1]
    # One that died between its checkpoint and its line is told by none; none is told twice.
    told = [line["epoch"]["epoch"] for line in progress(killed) if "epoch" in line]
    assert len(set(told)) == len(told)
    assert "epoch-0099.pt is skipped" in "".join(line["message"] for line in progress(killed))


def wait_until_ended(pids: list[int]) -> None:
    """Waits for processes that nobody may have told to end."""
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "the ranks outlived their launcher"
        time.sleep(0.01)


def test_another_number_of_processes_goes_on_and_says_what_that_means(
    example: Example, whole: Path, tmp_path: Path
) -> None:
    directory = example.job(tmp_path / "job", **OPTIONS, processes=1)
    checkpoints = shutil.copytree(whole / "checkpoints", directory / "checkpoints")
    (checkpoints / "epoch-0005.json").unlink()
    assert train_here(directory) == 0
    resumed, undisturbed = result(directory), result(whole)
    assert resumed["startedFromEpochs"] == [4]
    messages = [line["message"] for line in progress(directory)]
    assert "epoch-0005.pt is skipped: it was not written completely" in messages[0]
    assert (
        "after epoch 4 with other processes (1 on cpu, was 2 on cpu): the weights may differ" in messages[1]
    )
    assert resumed["epochs"][:4] == undisturbed["epochs"][:4]
    assert resumed["epochs"][4]["trainLoss"] == pytest.approx(undisturbed["epochs"][4]["trainLoss"], rel=1e-4)


def test_one_process_alone_trains_the_same_model_but_for_rounding(
    example: Example, whole: Path, tmp_path: Path
) -> None:
    alone = example.job(tmp_path / "alone", **OPTIONS)
    command = [sys.executable, "-m", "shelfcast.train", "--dir", alone.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    # Rounding grows from step to step; after the first epoch the two are still the same training.
    one, other = (result(folder)["epochs"][0] for folder in (alone, whole))
    assert one["trainLoss"] == pytest.approx(other["trainLoss"], rel=1e-4)
    assert one["validationLoss"] == pytest.approx(other["validationLoss"], rel=1e-4)
    trained = result(alone)
    assert trained["epochs"][-1]["trainLoss"] < trained["epochs"][0]["trainLoss"]
    sample = (alone / "report" / "data-sample.csv").read_text(encoding="utf-8").splitlines()
    assert len(sample) == 101
    assert (alone / "report" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input_ends_all_processes_with_one_sentence(example: Example, tmp_path: Path) -> None:
    directory = example.job(tmp_path / "job", featureSetVersion="0" * 12)
    code, output = finish(start(directory))
    assert code == 2
    error = json.loads((directory / "error.json").read_text(encoding="utf-8"))
    assert error["type"] == "InvalidInput"
    assert "have featureSetVersion" in error["message"]
    assert output.count("InvalidInput: ") == 1
    assert "rank 0: process 0 terminated with exit code 2" in output
    assert not (directory / "result.json").exists()


def test_what_one_process_finds_wrong_ends_all() -> None:
    code, output = run_in_processes("second_process_refuses")
    assert code == 0, output
    assert sorted(output.split("\n")[:2]) == [
        "0: BadData: process 1 refuses",
        "1: BadData: process 1 refuses",
    ]


def test_a_loss_that_is_not_finite_ends_the_training(example: Example, tmp_path: Path) -> None:
    directory = example.job(tmp_path / "job", learningRate=1e30)
    assert train_here(directory) == 2
    error = json.loads((directory / "error.json").read_text(encoding="utf-8"))
    assert error["type"] == "InvalidInput"
    assert "lower learningRate" in error["message"]
    assert not (directory / "checkpoints").exists()


def test_a_training_that_fails_twice_in_the_same_way_is_not_started_again(
    example: Example, tmp_path: Path
) -> None:
    directory = example.job(tmp_path / "job", maxEpochs=1, batchSize=2_048)
    # Where a folder is to be.
    (directory / "report").write_text("in the way", encoding="utf-8")
    assert [train_here(directory) for _ in range(3)] == [1, 1, 2]
    error = json.loads((directory / "error.json").read_text(encoding="utf-8"))
    assert error["type"] == "JobFailed"
    assert "failed twice after step 3 with the same error" in error["message"]
    assert "FileExistsError" in error["message"].splitlines()[-1]
    assert Restarts(directory).epochs() == [0, 1]
