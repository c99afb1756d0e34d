"""Job folder: spec, progress, result and error, which all jobs share.

A job runs as ``python -m shelfcast.<stage> --dir DIR``. DIR holds ``spec.json``; the job writes its outputs
there and, last, ``result.json``. The other side of this contract is ``contracts/job-specs.ts`` and
``contracts/jobs.ts``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlparse

from shelfcast.contracts.results import EpochMetrics, ErrorType, JobError, JobProgress, StepMetrics
from shelfcast.contracts.wire import ContractError, encode, read_json

T = TypeVar("T")


class UserError(Exception):
    """Failure that a retry cannot repair; its type and message go into error.json.

    Attributes:
        type: Error type, for example ``BadData``.
    """

    def __init__(self, type_: ErrorType, message: str) -> None:
        super().__init__(message)
        self.type = type_


def path_of(uri: str) -> Path:
    """Returns the local path of a ``file://`` URI.

    Raises:
        ValueError: The URI has another scheme.
    """
    parts = urlparse(uri)
    if parts.scheme != "file":
        raise ValueError(f"cannot read {uri!r}: only file:// URIs are supported")
    return Path(unquote(parts.path))


def write_json(path: Path, value: object) -> None:
    """Writes a dataclass or a plain value atomically (temporary name, fsync, rename).

    A reader sees the whole file or none.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(encode(value), file, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def report_progress(
    directory: Path,
    message: str,
    *,
    fraction: float | None = None,
    epoch: EpochMetrics | None = None,
    training: StepMetrics | None = None,
) -> None:
    """Appends one ``JobProgress`` to ``progress.jsonl``."""
    line = JobProgress(message=message, fraction=fraction, epoch=epoch, training=training)
    with (directory / "progress.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(encode(line), allow_nan=False) + "\n")


def database_url() -> str:
    """Returns the address of PostgreSQL, ``postgresql://user:password@host:port/database``.

    Raises:
        UserError: ``DATABASE_URL`` is not set.
    """
    try:
        return os.environ["DATABASE_URL"]
    except KeyError:
        raise UserError(
            "InvalidInput", "DATABASE_URL is not set; it must name the PostgreSQL database"
        ) from None


def read_spec(directory: Path, spec_type: type[T]) -> T:
    """Returns ``spec.json`` of a job's folder.

    Raises:
        UserError: The spec does not fit: a worker with another version of shelfcast wrote it.
    """
    try:
        return read_json(spec_type, directory / "spec.json")
    except ContractError as error:
        raise UserError(
            "InvalidInput", f"{error}; run the worker and the jobs with the same version of shelfcast"
        ) from error


def job_directory() -> Path:
    """Returns the job's folder, from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True, help="file:// URI of the job's folder")
    return path_of(parser.parse_args().dir)


def main(run: Callable[[T, Path], object], spec_type: type[T]) -> None:
    """Runs a job: reads its spec, calls ``run(spec, directory)`` and writes the returned result.

    If the result exists already, the job does nothing, so that starting it again is harmless.
    """
    directory = job_directory()
    if (directory / "result.json").exists():
        return
    try:
        result = run(read_spec(directory, spec_type), directory)
    except UserError as error:
        write_json(directory / "error.json", JobError(type=error.type, message=str(error)))
        print(f"{error.type}: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    write_json(directory / "result.json", result)
