"""Reading the report file of `edgecnn benchmark`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgecnn.bench.benchmark_record import BENCHMARK_VERSION
from edgecnn.core.errors import InputError, first_problem


class _Part(BaseModel):
    # A report file holds more than is read here.
    model_config = ConfigDict(extra="ignore", frozen=True)


class SavedModel(_Part):
    """Which file was measured."""

    name: str
    sha256: str
    size_bytes: int
    threads: int


class SavedEnvironment(_Part):
    """What it was measured on."""

    board: str | None
    cpu: str | None
    machine: str | None

    @property
    def device(self) -> str:
        """The most telling name that the machine gave."""
        return self.board or self.cpu or self.machine or "unknown"


class SavedTotal(_Part):
    """The time of a whole frame."""

    mean_ms: float = Field(gt=0)
    p50_ms: float = Field(gt=0)
    p90_ms: float
    p99_ms: float


class SavedStages(_Part):
    total: SavedTotal


class SavedProtocol(_Part):
    block: int = Field(ge=1)


class SavedAccuracy(_Part):
    top1: float


class SavedDecision(_Part):
    """What the model said of one photo."""

    sha256: str
    label: str
    predicted: str


class SavedSeries(_Part):
    total: tuple[float, ...]
    """Milliseconds, in the order they were measured."""


class SavedSamples(_Part):
    model: SavedSeries


class SavedBenchmark(_Part):
    """What `edgecnn compare` reads of a report."""

    model: SavedModel
    environment: SavedEnvironment
    protocol: SavedProtocol
    stages: SavedStages
    peak_rss_bytes: int | None
    accuracy: SavedAccuracy | None
    decisions: tuple[SavedDecision, ...] | None
    valid: bool
    invalid_reasons: tuple[str, ...]
    samples: SavedSamples


def read_benchmark(path: Path) -> SavedBenchmark:
    """Reads a report. Raises `InputError` for a file that is none, or is of another format version."""
    record = _json_object(path)
    if "stages" not in record:
        raise InputError(f"{path} is no benchmark report; write one with edgecnn benchmark MODEL --out {path}")
    return parse_benchmark(record, str(path), "measure again with this edgecnn")


def parse_benchmark(record: Mapping[str, Any], whence: str, what_to_do: str) -> SavedBenchmark:
    """Reads the JSON object of a report from `whence`. Raises `InputError`, with `what_to_do`, for any other object."""
    version = record.get("format_version")
    if version != BENCHMARK_VERSION:
        raise InputError(
            f"{whence} is a benchmark report of format version {version}, expected {BENCHMARK_VERSION}; {what_to_do}"
        )
    try:
        return SavedBenchmark.model_validate(record)
    except ValidationError as error:
        raise InputError(f"{whence} is no whole benchmark report: {first_problem(error)}; {what_to_do}") from None


def _json_object(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"no such report: {path}; write one with edgecnn benchmark MODEL --out {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; expected a report of edgecnn benchmark") from None
    except ValueError:
        raise InputError(f"{path} is not JSON; expected a report of edgecnn benchmark") from None
    return record if isinstance(record, dict) else {}
