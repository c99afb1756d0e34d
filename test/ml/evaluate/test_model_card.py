from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evaluate_folders import (
    DATASET,
    HORIZONS,
    WEEKS,
    toy_sales,
    write_model,
    write_training_data,
)

from shelfcast.contracts.results import FORECASTER_LABELS
from shelfcast.contracts.specs import EvaluateSpec
from shelfcast.contracts.wire import decode
from shelfcast.evaluate.__main__ import run
from shelfcast.models.imputation import IMPUTATION
from shelfcast.models.presets import PRESETS


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("card")
    training_data = write_training_data(root / "data", toy_sales())
    (training_data / "ids.json").write_text(json.dumps({"type": {"1": "a|b"}}))
    return {
        "snapshot": {
            "id": "toy-7-0123456789ab",
            "dataset": DATASET,
            "batchId": 1,
            "contentHash": "",
            "rowCount": 12_345,
            "seriesCount": 6,
            "firstWeek": WEEKS[0].isoformat(),
            "lastWeek": WEEKS[-1].isoformat(),
        },
        "trainingDataUri": training_data.as_uri(),
        "oracleUri": None,
        "horizonWeeks": HORIZONS,
        "testWeeks": 4,
        "candidateUri": write_model(root / "candidate", {"last_year": 1.0}).as_uri(),
        "championUri": None,
    }


def card_of(spec: dict[str, Any], folder: Path) -> str:
    result = run(decode(EvaluateSpec, spec, "spec"), folder)
    assert result.model_card_uri == (folder / "report" / "model-card.md").as_uri()
    return (folder / "report" / "model-card.md").read_text(encoding="utf-8")


def cells(card: str, first: str) -> list[str]:
    """Returns the cells of the first row of a table that begins so."""
    line = next(line for line in card.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_names_what_the_model_was_made_of(
    inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELFCAST_COMMIT", "abc123")
    card = card_of(inputs, tmp_path)
    manifest = json.loads((Path(inputs["candidateUri"].removeprefix("file://")) / "model.json").read_text())
    assert card.startswith("# Model card: global, trained on toy\n")
    for name, value in {
        "data snapshot": "toy-7-0123456789ab: 12,345 rows of 6 series, 2024-08-02 to 2025-11-28",
        "trained on snapshot": manifest["snapshotId"],
        "feature set version": "f00, 1 features",
        "preset": "global",
        "model.onnx": f"SHA-256 {manifest['onnxSha256']}",
        "code": "abc123",
        "test weeks": "2025-11-07 to 2025-11-28",
        "forecasts scored": "69 of 72, 3 left out for all",
    }.items():
        assert cells(card, name)[1] == value


def test_has_the_numbers_of_the_result(inputs: dict[str, Any], tmp_path: Path) -> None:
    card = card_of(inputs, tmp_path)
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    for name, by in metrics["overall"].items():
        row = cells(card, FORECASTER_LABELS[name])
        assert row[1] == f"${by['wmae']:,.0f}"
        assert row[2] == f"{by['wape'] * 100:.1f} %"
        assert row[3] == f"{by['mase']:.3f}"
        # A point forecast has no interval, a model of three quantiles not that of 95 %.
        assert (row[7] != "", row[8]) == (name == "candidate", "")
    assert "| store_type=a\\|b |" in card
    for name, by in metrics["slices"].items():
        if name == "store_type=a|b":
            continue
        errors = [f"${by[other]['wmae']:,.0f}" for other in metrics["overall"]]
        assert cells(card, name)[1:-1] == [f"{by['candidate']['rows']:,}", *errors]
    for entry in metrics["slicesNotScored"]:
        assert f"- {entry['slice']}: {entry['reason']}" in card


def test_says_what_it_leaves_out(inputs: dict[str, Any], tmp_path: Path) -> None:
    card = card_of(inputs, tmp_path)
    assert "The errors are of 4 target weeks, 1 of them with a holiday" in card
    assert (
        "3 forecasts are in none of these figures; seasonal naive forecast (last year): no sales are known 52"
        in card
    )
    assert f"It does not answer more than {HORIZONS} weeks ahead." in card


def test_tells_the_imputation_of_each_preset() -> None:
    assert IMPUTATION.keys() == PRESETS.keys()


def test_a_preset_of_another_version_is_not_guessed_at(inputs: dict[str, Any], tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", {"last_year": 1.0}, preset="yet-another")
    (tmp_path / "job").mkdir()
    card = card_of({**inputs, "candidateUri": other.as_uri()}, tmp_path / "job")
    assert "Not described for this preset: see the code of yet-another" in card
    assert IMPUTATION["global"][1] not in card
