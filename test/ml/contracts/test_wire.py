"""JSON of job specs: what is read, what is refused with which sentence, what is written."""

from __future__ import annotations

import copy
import functools
import json
import operator
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shelfcast.contracts.model import ModelManifest
from shelfcast.contracts.results import Forecaster, Metrics
from shelfcast.contracts.specs import (
    EvaluateSpec,
    IngestSpec,
    LongSource,
    Rename,
    StaticCovariate,
    TrainSpec,
    WeeklyCovariate,
)
from shelfcast.contracts.wire import ContractError, decode, encode

PROJECT = Path(__file__).resolve().parents[3]
SNAPSHOT = {
    "id": "walmart-1-0123456789ab",
    "dataset": "walmart",
    "batchId": 1,
    "contentHash": "0" * 64,
    "rowCount": 10,
    "seriesCount": 2,
    "firstWeek": "2010-02-05",
    "lastWeek": "2012-10-26",
}
TRAIN = {
    "snapshot": SNAPSHOT,
    "feastProject": "shelfcast_walmart",
    "featureSetVersion": "0123",
    "trainingDataUri": "file:///data",
}
COLUMNS = [
    {"name": "promo", "of": "store_week", "knownAfterWeeks": -2, "description": "Promotion"},
    {"name": "area", "of": "store", "description": "Floor area"},
]
INGEST = {
    "dataset": "own",
    "requestId": "run-1",
    "source": {"kind": "long", "path": "/data", "columns": COLUMNS},
}

#: Values that test/contracts/json-values.test.ts gives to zod.
JSON_VALUES = json.loads((PROJECT / "test/contracts/json-values.json").read_text(encoding="utf-8"))
TYPES = {type_.__name__: type_ for type_ in (ModelManifest, TrainSpec, IngestSpec, EvaluateSpec)}


def document_with(name: str, path: str, text: str | None) -> str:
    """Text of the document with the value of one key replaced, or without the key."""
    document = copy.deepcopy(JSON_VALUES["documents"][name])
    *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    owner = functools.reduce(operator.getitem, keys, document)
    if text is None:
        del owner[last]
        return json.dumps(document)
    owner[last] = "<value>"
    return json.dumps(document).replace('"<value>"', text.replace("<400 zeros>", "0" * 400))


def test_whole_documents_are_accepted() -> None:
    for name, document in JSON_VALUES["documents"].items():
        decode(TYPES[name], document, name)


@pytest.mark.parametrize(("name", "path", "text"), JSON_VALUES["accepted"])
def test_what_zod_accepts_is_accepted(name: str, path: str, text: str) -> None:
    decode(TYPES[name], json.loads(document_with(name, path, text)), name)


@pytest.mark.parametrize(("name", "path", "text"), JSON_VALUES["refused"])
def test_what_zod_refuses_is_refused(name: str, path: str, text: str | None) -> None:
    with pytest.raises(ContractError, match=f"^{re.escape(name)}[.]"):
        decode(TYPES[name], json.loads(document_with(name, path, text)), name)


def test_absent_keys_have_the_defaults_of_the_pipeline_input() -> None:
    schema = json.loads((PROJECT / "contracts/schemas/pipeline-input.json").read_text())
    options = schema["$defs"]["TrainOptions"]["properties"]
    inputs = schema["$defs"]["PipelineInput"]["properties"]
    spec = decode(TrainSpec, TRAIN, "spec.json")
    assert spec.snapshot.last_week == date(2012, 10, 26)
    assert spec.max_epochs == options["maxEpochs"]["default"]
    assert spec.learning_rate == options["learningRate"]["default"]
    assert spec.horizon_weeks == inputs["horizonWeeks"]["default"]
    assert spec.search is None


def test_a_union_is_read_by_its_tag() -> None:
    source = decode(IngestSpec, INGEST, "spec.json").source
    assert source == LongSource(
        path="/data",
        columns=[
            WeeklyCovariate(name="promo", of="store_week", known_after_weeks=-2, description="Promotion"),
            StaticCovariate(name="area", description="Floor area"),
        ],
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 3}, "spec.json.epochs: unknown key of TrainSpec"),
        ({"maxEpochs": "3"}, "spec.json.maxEpochs: expected a whole number, found '3'"),
        ({"maxEpochs": 3.5}, "spec.json.maxEpochs: expected a whole number, found 3.5"),
        ({"maxEpochs": True}, "spec.json.maxEpochs: expected a whole number, found True"),
        ({"maxEpochs": None}, "spec.json.maxEpochs: expected a whole number, found None"),
        ({"learningRate": "fast"}, "spec.json.learningRate: expected a number, found 'fast'"),
        ({"preset": "gru"}, 'spec.json.preset: expected "global" or "ensemble" or "lstm" or "mlp-11" or'),
        ({"search": {"trials": 3, "seed": 1}}, "spec.json.search.seed: unknown key of SearchOptions"),
        ({"search": {}}, "spec.json.search.trials: missing from SearchOptions"),
        ({"search": [3]}, "spec.json.search: expected an object"),
        (
            {"snapshot": {**SNAPSHOT, "lastWeek": "2012-26-10"}},
            "spec.json.snapshot.lastWeek: expected a date",
        ),
    ],
)
def test_a_wrong_value_is_named_by_its_path(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContractError) as caught:
        decode(TrainSpec, {**TRAIN, **change}, "spec.json")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"kind": "excel", "path": "/data"}, 'spec.json.source.kind: expected "generated" or "walmart-csv"'),
        ({"path": "/data"}, "spec.json.source.kind: expected"),
        (
            {"kind": "long", "path": "/data", "columns": [{**COLUMNS[1], "knownAfterWeeks": 0}]},
            "spec.json.source.columns[0].knownAfterWeeks: unknown key of StaticCovariate",
        ),
    ],
)
def test_a_wrong_member_of_a_union_is_named_by_its_path(source: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContractError) as caught:
        decode(IngestSpec, {**INGEST, "source": source}, "spec.json")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(("type_", "value"), [(TrainSpec, TRAIN), (IngestSpec, INGEST)])
def test_what_is_written_is_read_as_the_same(type_: type[Any], value: dict[str, Any]) -> None:
    spec = decode(type_, value, "spec.json")
    written = json.loads(json.dumps(encode(spec)))
    assert value.items() <= {**written, "source": value.get("source")}.items()
    assert decode(type_, written, "spec.json") == spec


def test_keys_of_a_record_are_checked() -> None:
    score = {"wmae": 1.5, "wape": 0.1, "mase": None, "rmse": 2.0, "bias": 0.0, "rows": 3}
    score |= {"pinball": None, "coverage80": None, "coverage95": None}
    assert decode(dict[Forecaster, Metrics], {"naive": score}, "overall")["naive"].wmae == 1.5
    with pytest.raises(ContractError, match=r'^overall\.last: expected "candidate" or .*, found \'last\'$'):
        decode(dict[Forecaster, Metrics], {"last": score}, "overall")


def test_specs_are_read_without_any_library() -> None:
    loaded = "import sys; import shelfcast.job, shelfcast.contracts.specs; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", loaded], cwd=PROJECT / "ml", capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pydantic", "numpy", "pandas", "torch"} & set(modules)


def test_a_key_that_python_reserves() -> None:
    value = {"of": "dept", "from": "TOYS", "to": "GAMES"}
    assert decode(Rename, value, "rename").from_ == "TOYS"
    assert encode(decode(Rename, value, "rename")) == value
