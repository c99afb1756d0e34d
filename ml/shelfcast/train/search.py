"""Hyper-parameter search by short trainings, scored on the validation weeks.

``search.json`` in the job's folder holds every finished trial and is the only state: a killed search repeats
the interrupted trial and ends with the same result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from shelfcast.contracts.results import SearchResult, Trial, TrialParameters
from shelfcast.contracts.specs import TrainSpec
from shelfcast.contracts.wire import bounds, decode, encode
from shelfcast.job import UserError, report_progress, write_json
from shelfcast.train.checkpoint import config_hash
from shelfcast.train.distributed import Processes
from shelfcast.train.training import LossNotFiniteError, Trainer

#: Upper bound of epochs in a trial; enough to rank parameters.
TRIAL_EPOCHS = 4
#: Number of random trials before TPE suggests parameters.
_RANDOM_TRIALS = 5
#: Search ranges: from the spec's value divided by this to the value times this.
_RATE_RANGE, _BATCH_RANGE, _DECAY_RANGE = 4, 4, 10
_LARGEST_RATE = bounds(TrainSpec, "learning_rate").maximum
_BATCH_BOUNDS = bounds(TrainSpec, "batch_size")


def search(
    spec: TrainSpec,
    directory: Path,
    processes: Processes,
    prepare: Callable[[TrainSpec, float], Trainer],
) -> SearchResult:
    """Runs the trials that are left; each process must call it.

    Args:
        spec: Spec of the training, with ``search``.
        directory: The job's folder.
        processes: Process group; rank 0 chooses the parameters.
        prepare: Returns an untrained trainer for a spec and a factor on the weight decay.

    Raises:
        UserError: No trial has a finite loss, or the folder's trials belong to another spec.
    """
    assert spec.search is not None
    config = config_hash(spec)
    path, count = directory / "search.json", spec.search.trials
    # Rank 0 decides for all: each process may see a different state of a shared folder.
    read = processes.raise_together(lambda: _finished(path, config) if processes.is_rank_0 else [])
    trials = processes.gather(read)[0]
    epochs = trial_epochs(spec)
    while len(trials) < count:
        chosen = _choose(spec, trials) if processes.is_rank_0 else None
        parameters = processes.gather(chosen)[0]
        assert parameters is not None
        changed = replace(with_parameters(spec, parameters), max_epochs=epochs)
        loss = _loss(prepare(changed, parameters.weight_decay_factor))
        trials.append(Trial(number=len(trials) + 1, parameters=parameters, validation_loss=loss))
        if processes.is_rank_0:
            write_json(path, {"configHash": config, "trials": trials})
            _report(directory, spec, count, trials)
    finite = [trial for trial in trials if trial.validation_loss is not None]
    if not finite:
        raise UserError("InvalidInput", f"no loss of {count} trials was finite; lower learningRate")
    return SearchResult(trials=trials, best=min(finite, key=_validation_loss))


def with_parameters(spec: TrainSpec, parameters: TrialParameters) -> TrainSpec:
    """Returns the spec with searched parameters; the factor on the weight decay is not part of it."""
    return replace(spec, learning_rate=parameters.learning_rate, batch_size=parameters.batch_size)


def trial_epochs(spec: TrainSpec) -> int:
    """Returns the upper bound of epochs in a trial."""
    return min(TRIAL_EPOCHS, spec.max_epochs)


def search_epochs(spec: TrainSpec) -> int:
    """Returns the upper bound of epochs in all trials; 0 without a search."""
    return 0 if spec.search is None else trial_epochs(spec) * spec.search.trials


def _finished(path: Path, config: str) -> list[Trial]:
    if not path.exists():
        return []
    described = json.loads(path.read_text(encoding="utf-8"))
    if described["configHash"] != config:
        raise UserError(
            "InvalidInput",
            f"{path} belongs to a search with another spec.json; start this one in another folder, or "
            "delete the file",
        )
    return decode(list[Trial], described["trials"], path.name)


def _choose(spec: TrainSpec, trials: Sequence[Trial]) -> TrialParameters:
    """Returns the parameters of the next trial: first the spec's own, then suggestions of Optuna's TPE.

    Source: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011. The study is rebuilt
        from the finished trials and the seed depends on their number, so a killed process loses no state.
    """
    rate, batch = spec.learning_rate, spec.batch_size
    if not trials:
        return TrialParameters(learning_rate=rate, batch_size=batch, weight_decay_factor=1.0)
    # The import takes a second; only a search needs it.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, optuna.distributions.BaseDistribution] = {
        "learningRate": optuna.distributions.FloatDistribution(
            rate / _RATE_RANGE, min(rate * _RATE_RANGE, _LARGEST_RATE), log=True
        ),
        "batchSize": optuna.distributions.IntDistribution(
            max(batch // _BATCH_RANGE, int(_BATCH_BOUNDS.minimum)),
            min(batch * _BATCH_RANGE, int(_BATCH_BOUNDS.maximum)),
            log=True,
        ),
        "weightDecayFactor": optuna.distributions.FloatDistribution(1 / _DECAY_RANGE, _DECAY_RANGE, log=True),
    }
    sampler = optuna.samplers.TPESampler(
        seed=(spec.seed + len(trials)) % 2**32, n_startup_trials=_RANDOM_TRIALS
    )
    study = optuna.create_study(sampler=sampler)
    for trial in trials:
        loss = trial.validation_loss
        state = optuna.trial.TrialState.FAIL if loss is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state, value=loss, params=encode(trial.parameters), distributions=space
            )
        )
    suggested = study.ask(space).params
    return TrialParameters(
        learning_rate=float(suggested["learningRate"]),
        batch_size=int(suggested["batchSize"]),
        weight_decay_factor=float(suggested["weightDecayFactor"]),
    )


def _loss(trainer: Trainer) -> float | None:
    """Trains and returns the lowest validation loss, the same in all processes; None if it is not finite."""
    try:
        trainer.run(lambda _: None)
    except LossNotFiniteError:
        return None
    return min(epoch.validation_loss for epoch in trainer.epochs)


def _validation_loss(trial: Trial) -> float:
    assert trial.validation_loss is not None
    return trial.validation_loss


def _report(directory: Path, spec: TrainSpec, count: int, trials: Sequence[Trial]) -> None:
    loss = trials[-1].validation_loss
    outcome = "a loss that is not finite" if loss is None else f"validation loss {loss:.2f}"
    done = len(trials) * trial_epochs(spec) / (search_epochs(spec) + spec.max_epochs + 1)
    report_progress(directory, f"trial {len(trials)} of {count}: {outcome}", fraction=done)
