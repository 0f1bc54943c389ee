"""The format of `edgecnn benchmark --json`, of its `--out` files and of the benchmarks saved in run folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from edgecnn.core.errors import InputError, first_problem
from edgecnn.core.metrics.latency import LatencyStats
from edgecnn.core.precision import Precision
from edgecnn.core.records.evaluation import AccuracyRecord, PairedRecord
from edgecnn.core.records.record import Record
from edgecnn.core.settings.command_settings import FULL_QUERIES, FULL_SECONDS

BENCHMARK_VERSION: Final = 2
"""Since version 2, `cold_start_ms` and `peak_rss_bytes` are measured in a separate process and samples are rounded."""


class ModelIdentity(Record):
    """The measured file and its number of threads."""

    name: str
    """File name without its suffix."""
    sha256: str
    """Hash of the file."""
    size_bytes: int
    """Size of the file."""
    precision: Precision | None
    """Null for a file without a model card."""
    threads: int
    """Threads of the interpreter."""


class Environment(Record):
    """Hardware and software of a measurement. A value is null if the system does not provide it."""

    machine: str | None
    """Architecture, such as `aarch64`."""
    board: str | None
    """Board name in the device tree, which single-board computers have."""
    cpu: str | None
    """Processor name."""
    cores: int | None
    """Number of cores that the process may run on."""
    memory_bytes: int | None
    """Total memory."""
    os: str | None
    """Name of the operating system."""
    kernel: str | None
    """Kernel release."""
    governor: str | None
    """Frequency policy of the first core."""
    max_frequency_hz: int | None
    """Maximum frequency of the fastest core."""
    temperatures_celsius: dict[str, float]
    """Temperature by type of thermal zone; the hottest if a type has several zones."""
    throttled: bool | None
    """True if a Raspberry Pi's firmware is throttling the processor at this moment."""
    load_average: float | None
    """Tasks running or waiting, mean of the last minute."""
    python: str
    """Version of Python."""
    numpy: str
    """Version of NumPy."""
    opencv: str
    """Version of OpenCV."""
    interpreter: str | None
    """Package of the TFLite interpreter."""
    interpreter_version: str | None
    """Version of that package."""
    edgecnn: str | None
    """Version of edgecnn."""

    @property
    def device(self) -> str:
        """The most specific name of the machine."""
        return self.board or self.cpu or self.machine or "unknown"


class Protocol(Record):
    """The rules of a measurement.

    It ends when every model has answered `queries` and `min_seconds` have passed, or after `max_seconds`. MLPerf's
    single stream scenario also asks for 1024 queries; a minute is enough for a small board to show whether it gets hot.
    """

    queries: int = Field(default=FULL_QUERIES, ge=1)
    """Minimum number of samples per model; with 1024, ten samples lie above the 99th percentile."""
    min_seconds: float = Field(default=FULL_SECONDS, ge=0)
    """Minimum duration of the measured part, for all models together: long enough for heat and clock to settle."""
    max_seconds: float = Field(default=1800.0, gt=0)
    """Maximum duration of the measured part."""
    warm_up: int = Field(default=16, ge=0)
    """Predictions of each model that are not counted, before the first one that is."""
    block: int = Field(default=16, ge=1)
    """Samples per turn.

    Each turn begins with one more prediction that is not counted: it pays for refilling the caches that the other model
    used."""
    frame_height: int = Field(default=480, ge=1)
    """Height of the frames in pixels."""
    frame_width: int = Field(default=640, ge=1)
    """Width of the frames in pixels."""
    watch_seconds: float = Field(default=1.0, gt=0)
    """Interval between two readings of temperature, clock and power."""

    @model_validator(mode="after")
    def _minimum_is_not_above_maximum(self) -> Self:
        if self.min_seconds > self.max_seconds:
            raise ValueError(f"min_seconds must be at most max_seconds, {self.max_seconds:g}")
        return self


class ConditionsRecord(Record):
    """The state of the machine during a measurement. A value is null if the system does not provide it."""

    duration_s: float
    """Duration of the measurement."""
    readings: int
    """Number of readings of the machine's state."""
    temperature_celsius: tuple[float, float, float] | None
    """First, highest and last temperature of the hottest thermal zone."""
    limit_celsius: float
    """Temperature at which the board throttles its processor."""
    top_clock_hz: int | None
    """Maximum clock of the fastest core, by the system's settings at the start."""
    slow_clock_share: float | None
    """Fraction of the readings under load in which the fastest core ran below 90 % of that clock."""
    throttled: bool | None
    """True if the firmware throttled the processor."""
    other_busy_cores: float | None
    """Mean number of cores that other processes kept busy."""
    clock_shift_s: float
    """Largest shift of the system clock against the monotonic clock."""


def _above_zero(total: LatencyStats) -> LatencyStats:
    if min(total.mean_ms, total.p50_ms) <= 0:
        raise ValueError("mean_ms and p50_ms must be above 0")
    return total


class Stages(Record):
    """Latency by stage."""

    preprocess: LatencyStats
    """From a frame to the pixels that the network expects."""
    invoke: LatencyStats
    """The network."""
    postprocess: LatencyStats
    """From the network's output to a decision."""
    total: Annotated[LatencyStats, AfterValidator(_above_zero)]
    """The sum of the stages, sample by sample."""


STAGES: tuple[str, ...] = tuple(Stages.model_fields)


class Energy(Record):
    """Power of the board while one model ran, including what the board uses when idle."""

    n: int
    """Number of power readings."""
    mean_watts: float
    """Mean of the readings."""
    mj_per_frame: float
    """Millijoules per frame: mean power times mean latency."""


class DecisionRecord(Record):
    """The decision on one photo."""

    sha256: str
    """Hash of the photo's content, which identifies it on every machine."""
    label: str
    """True class."""
    predicted: str
    """Class that the model decided on."""
    score: float
    """Probability of `predicted`, rounded to 6 digits."""


# pydantic orders fields from the last base class to the first: that is the order of the keys.


class Timing(Record):
    """Latency, memory and energy of one model."""

    cold_start_ms: float
    """Time from opening the file to the first prediction, in a separate process that runs only this model."""
    peak_rss_bytes: int | None
    """Peak memory of that process; null if the system does not provide it."""
    stages: Stages
    """Latency by stage."""
    energy: Energy | None
    """Null if the board does not measure its power."""


class Measured(Timing):
    """Timing and accuracy of one model."""

    accuracy: AccuracyRecord | None
    """Accuracy on the photos of `--data`: the keys of `evaluate --json` from `n` to `threshold`."""
    decisions: tuple[DecisionRecord, ...] | None
    """The decision on every photo."""


class _Threads(Record):
    threads: int
    """Number of threads of the interpreter."""


class SweepRecord(Timing, _Threads):
    """Timing of the model with one number of threads."""


class PhotosRecord(Record):
    """The photos that accuracy was measured on."""

    found: int
    """Number of photos found."""
    measured: int
    """Number of photos chosen from them."""
    limit: int | None
    """Maximum number of photos, `--limit`."""
    seed: int
    """Seed of the choice."""


class BaselineRecord(Measured, ModelIdentity):
    """The baseline: the keys of `model`, then those from `cold_start_ms` to `decisions`."""


class SampleSeries(Record):
    """Every sample by stage, in milliseconds, rounded to microseconds, in the order of measurement."""

    preprocess: tuple[float, ...]
    """Samples of `stages.preprocess`."""
    invoke: tuple[float, ...]
    """Samples of `stages.invoke`."""
    postprocess: tuple[float, ...]
    """Samples of `stages.postprocess`."""
    total: tuple[float, ...]
    """Samples of `stages.total`."""


class SamplesRecord(Record):
    """Every sample of every model."""

    model: SampleSeries
    """Samples of the model."""
    baseline: SampleSeries | None
    """Samples of the baseline."""
    sweep: dict[str, SampleSeries]
    """Samples of the model by number of threads, other than the number in `model`."""


class _Header(Record):
    format_version: Literal[2]
    """Version of this format; `compare` refuses any other."""
    created: str
    """Time of the measurement, ISO 8601 in UTC."""
    model: ModelIdentity
    """The measured file."""
    environment: Environment
    """The machine, before the measurement."""
    protocol: Protocol
    """The rules of the measurement."""
    conditions: ConditionsRecord
    """The machine during the measurement."""


class BenchmarkRecord(Measured, _Header):
    """A finished benchmark. Times are in milliseconds."""

    sweep: tuple[SweepRecord, ...]
    """One object per number of threads, with `threads` and the keys from `cold_start_ms` to `energy`.

    Empty for a single number."""
    photos: PhotosRecord | None
    """The photos of `--data`."""
    paired: PairedRecord | None
    """The model compared with the baseline on these photos, as in `evaluate --json`."""
    valid: bool
    """False if something disturbed the measurement."""
    invalid_reasons: tuple[str, ...]
    """What disturbed the measurement, and what to do."""
    baseline: BaselineRecord | None
    """The baseline, measured in turns with the model.

    It has the keys of `model`, then those from `cold_start_ms` to `decisions`."""
    speedup_p50: float | None
    """p50 of the baseline's total over the model's: 2 is twice as fast."""
    size_ratio: float | None
    """Size of the baseline over the model's: 2 is half as large."""
    samples: SamplesRecord
    """Every sample."""


def parse_benchmark(record: Mapping[str, Any], source: str, what_to_do: str) -> BenchmarkRecord:
    """Validate the JSON object of a benchmark.

    Args:
        record: The object.
        source: Subject of the error messages, such as the path of the file.
        what_to_do: End of the error messages: how to get a valid report.

    Returns:
        The benchmark.

    Raises:
        InputError: If the object has another format version or is incomplete.
    """
    version = record.get("format_version")
    if version != BENCHMARK_VERSION:
        raise InputError(
            f"{source} is a benchmark report of format version {version}, expected {BENCHMARK_VERSION}; {what_to_do}"
        )
    try:
        return BenchmarkRecord.model_validate(record)
    except ValidationError as error:
        raise InputError(f"{source} is an incomplete benchmark report: {first_problem(error)}; {what_to_do}") from None
