"""A training that cannot succeed is not started for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfcast.job import UserError, report_progress
from shelfcast.train.restarts import Restarts


def begin(directory: Path, epoch: int) -> Restarts:
    """Records a start from an epoch, as rank 0 does."""
    restarts = Restarts(directory)
    restarts.record(epoch)
    return restarts


def fail(restarts: Restarts, step: int, error: Exception) -> None:
    restarts.begin(len(restarts.epochs()), lambda: step)
    with pytest.raises(type(error)), restarts.recording_failure():
        raise error


def test_starts_are_noted(tmp_path: Path) -> None:
    assert Restarts(tmp_path).epochs() == []
    for epoch in (0, 0, 2):
        begin(tmp_path, epoch)
    assert Restarts(tmp_path).epochs() == [0, 0, 2]


@pytest.mark.parametrize("first", [0, 1])
def test_the_same_error_after_the_same_step_twice_in_a_row_ends_it(tmp_path: Path, first: int) -> None:
    fail(begin(tmp_path, first), 17, RuntimeError("the kernel is broken"))
    fail(begin(tmp_path, 1), 17, RuntimeError("the kernel is broken"))
    with pytest.raises(UserError, match="failed twice after step 17 with the same error") as refused:
        begin(tmp_path, 1)
    assert refused.value.type == "JobFailed"
    assert str(refused.value).endswith("RuntimeError: the kernel is broken")


@pytest.mark.parametrize(
    ("steps", "errors"),
    [
        ((17, 18), ("broken", "broken")),
        ((17, 17), ("lost the connection to port 1", "lost the connection to port 2")),
    ],
)
def test_two_deaths_that_differ_do_not(
    tmp_path: Path, steps: tuple[int, int], errors: tuple[str, str]
) -> None:
    for step, error in zip(steps, errors, strict=True):
        fail(begin(tmp_path, 1), step, RuntimeError(error))
    begin(tmp_path, 1)


def test_an_error_of_an_earlier_start_is_no_reason(tmp_path: Path) -> None:
    fail(begin(tmp_path, 1), 17, RuntimeError("broken"))
    begin(tmp_path, 1)
    # Killed, so without an error.
    begin(tmp_path, 1)


def test_three_deaths_without_a_checkpoint_between_end_it(tmp_path: Path) -> None:
    for epoch in (0, 2, 2, 2):
        begin(tmp_path, epoch)
    report_progress(tmp_path, "epoch 3, step 5")
    with pytest.raises(UserError, match="3 times in a row after epoch 2") as refused:
        begin(tmp_path, 2)
    assert refused.value.type == "JobFailed"
    assert str(refused.value).endswith("Its last progress: epoch 3, step 5")
    # Another start could have got further.
    begin(tmp_path, 3)


def test_half_a_line_of_a_killed_process_is_passed_over(tmp_path: Path) -> None:
    begin(tmp_path, 0)
    (tmp_path / "failures.jsonl").write_text('{"start": 1, "st', encoding="utf-8")
    fail(begin(tmp_path, 0), 17, RuntimeError("broken"))
    begin(tmp_path, 1)


def test_what_the_user_did_wrong_is_no_failure(tmp_path: Path) -> None:
    fail(begin(tmp_path, 0), 17, UserError("InvalidInput", "lower learningRate"))
    assert not (tmp_path / "failures.jsonl").exists()
