"""Search for hyper-parameters by short trainings, judged on validation weeks.

``search.json`` in the job's folder holds every finished trial, and is all that the next one depends on: a
search that was killed goes on with the trial that was cut off, and ends as if nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from shelfcast.job import UserError, report_progress, write_json
from shelfcast.train.checkpoint import config_hash
from shelfcast.train.processes import Processes
from shelfcast.train.training import LossNotFiniteError, Trainer

#: Enough to tell good from bad.
TRIAL_EPOCHS = 4
#: Drawn at random before the sampler learns from what was found.
_RANDOM_TRIALS = 5
#: Searched from the spec's own value divided by it to the value times it.
_RATE_RANGE, _BATCH_RANGE, _DECAY_RANGE = 4, 4, 10
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 65_536


class Parameters(TypedDict):
    """What is searched. The factor is of the weight decay that the preset's members have."""

    learningRate: float
    batchSize: int
    weightDecayFactor: float


class Trial(TypedDict):
    """See contracts/jobs.ts. The loss is the lowest of the trial's epochs, None where one was not finite."""

    number: int
    parameters: Parameters
    validationLoss: float | None


class Search(TypedDict):
    """All trials, in order, and the one with the lowest loss."""

    trials: list[Trial]
    best: Trial


def search(
    spec: Mapping[str, Any],
    directory: Path,
    processes: Processes,
    prepare: Callable[[dict[str, Any]], Trainer],
) -> Search:
    """Runs the trials that are left; each process must call it.

    Args:
        spec: The TrainSpec, with ``search``.
        directory: The job's folder.
        processes: All of them; the first one chooses for all.
        prepare: Returns an untrained trainer for a TrainSpec, to which ``weightDecayFactor`` may be added.

    Raises:
        UserError: No trial's loss was finite, or the folder's trials are of another spec.
    """
    config = config_hash(spec)
    path, count = directory / "search.json", spec["search"]["trials"]
    # The first decides, for all: a folder that is being written may look different to each.
    read = processes.agree(lambda: _finished(path, config) if processes.first else [])
    trials = processes.gather(read)[0]
    epochs = trial_epochs(spec)
    while len(trials) < count:
        chosen = _choose(spec, trials) if processes.first else None
        parameters = processes.gather(chosen)[0]
        assert parameters is not None
        loss = _loss(prepare({**spec, **parameters, "maxEpochs": epochs}))
        trials.append({"number": len(trials) + 1, "parameters": parameters, "validationLoss": loss})
        if processes.first:
            write_json(path, {"configHash": config, "trials": trials})
            _report(directory, spec, trials)
    finite = [trial for trial in trials if trial["validationLoss"] is not None]
    if not finite:
        raise UserError("InvalidInput", f"no loss of {count} trials was finite; lower learningRate")
    return {"trials": trials, "best": min(finite, key=_validation_loss)}


def trial_epochs(spec: Mapping[str, Any]) -> int:
    """Returns the epochs of a trial, at most."""
    return min(TRIAL_EPOCHS, int(spec["maxEpochs"]))


def search_epochs(spec: Mapping[str, Any]) -> int:
    """Returns the epochs of all trials, at most; 0 without a search."""
    return trial_epochs(spec) * int(spec["search"]["trials"]) if "search" in spec else 0


def _finished(path: Path, config: str) -> list[Trial]:
    if not path.exists():
        return []
    described = json.loads(path.read_text(encoding="utf-8"))
    if described["configHash"] != config:
        raise UserError(
            "InvalidInput",
            f"{path} is of a search with another spec.json; start this one in a folder of its own, or "
            "delete the file",
        )
    trials: list[Trial] = described["trials"]
    return trials


def _choose(spec: Mapping[str, Any], trials: Sequence[Trial]) -> Parameters:
    """Returns the parameters of the next trial: first the spec's own, then what Optuna's TPE suggests.

    Source: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011. The study is made of
    the finished trials and the sampler's seed of their number, so that no state gets lost with a process.
    """
    own: Parameters = {
        "learningRate": spec["learningRate"],
        "batchSize": spec["batchSize"],
        "weightDecayFactor": 1.0,
    }
    if not trials:
        return own
    # Takes a second, which a training without a search does not pay.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rate, batch = own["learningRate"], own["batchSize"]
    space: dict[str, optuna.distributions.BaseDistribution] = {
        "learningRate": optuna.distributions.FloatDistribution(
            rate / _RATE_RANGE, min(rate * _RATE_RANGE, 1.0), log=True
        ),
        "batchSize": optuna.distributions.IntDistribution(
            max(batch // _BATCH_RANGE, _SMALLEST_BATCH), min(batch * _BATCH_RANGE, _LARGEST_BATCH), log=True
        ),
        "weightDecayFactor": optuna.distributions.FloatDistribution(1 / _DECAY_RANGE, _DECAY_RANGE, log=True),
    }
    sampler = optuna.samplers.TPESampler(
        seed=(spec["seed"] + len(trials)) % 2**32, n_startup_trials=_RANDOM_TRIALS
    )
    study = optuna.create_study(sampler=sampler)
    for trial in trials:
        loss = trial["validationLoss"]
        state = optuna.trial.TrialState.FAIL if loss is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state, value=loss, params=dict(trial["parameters"]), distributions=space
            )
        )
    suggested = study.ask(space).params
    return {
        "learningRate": float(suggested["learningRate"]),
        "batchSize": int(suggested["batchSize"]),
        "weightDecayFactor": float(suggested["weightDecayFactor"]),
    }


def _loss(trainer: Trainer) -> float | None:
    """Trains; losses are sums over all processes, so all come to the same answer."""
    try:
        trainer.run(lambda _: None)
    except LossNotFiniteError:
        return None
    return min(epoch["validationLoss"] for epoch in trainer.epochs)


def _validation_loss(trial: Trial) -> float:
    assert trial["validationLoss"] is not None
    return trial["validationLoss"]


def _report(directory: Path, spec: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    loss, count = trials[-1]["validationLoss"], spec["search"]["trials"]
    said = "a loss that is not finite" if loss is None else f"validation loss {loss:.2f} USD"
    done = len(trials) * trial_epochs(spec) / (search_epochs(spec) + spec["maxEpochs"] + 1)
    report_progress(directory, f"trial {len(trials)} of {count}: {said}", fraction=done)
