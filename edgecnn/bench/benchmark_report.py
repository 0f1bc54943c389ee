"""What a benchmark finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from edgecnn.bench.conditions import Conditions
from edgecnn.bench.environment import Environment
from edgecnn.bench.isolated_process import Alone
from edgecnn.bench.photo_sample import PhotoAccuracy
from edgecnn.bench.power import Energy
from edgecnn.bench.protocol import Protocol
from edgecnn.core.frame import StageLatency
from edgecnn.core.metrics.latency import LatencyStats, latency_stats
from edgecnn.core.precision import Precision

STAGES = ("preprocess", "invoke", "postprocess", "total")


class ModelIdentity(NamedTuple):
    """Which file was measured, and with how many threads. A file without a model card does not tell its precision."""

    name: str
    sha256: str
    size_bytes: int
    precision: Precision | None
    threads: int


@dataclass(frozen=True, slots=True)
class ModelLatency:
    """Measurements of one model, in milliseconds, in the order they were made."""

    identity: ModelIdentity
    alone: Alone
    samples: tuple[StageLatency, ...]
    energy: Energy | None = None
    """None where the board does not tell its power."""

    def stage_ms(self, stage: str) -> list[float]:
        """The samples of one of `STAGES`."""
        if stage == "total":
            return [sum(sample) for sample in self.samples]
        return [getattr(sample, stage) for sample in self.samples]

    def stages(self) -> dict[str, LatencyStats]:
        """Summary of every stage."""
        return {stage: latency_stats(self.stage_ms(stage)) for stage in STAGES}


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """A finished benchmark; it is valid when there is no reason against it."""

    model: ModelLatency
    baseline: ModelLatency | None
    sweep: tuple[ModelLatency, ...]
    """The model with every number of threads of a sweep; empty where there was none."""
    environment: Environment
    """As it was before the measurement."""
    conditions: Conditions
    """As they were during the measurement."""
    protocol: Protocol
    invalid_reasons: tuple[str, ...]
    created: datetime
    accuracy: PhotoAccuracy | None = None
    """On the user's photos, where there were some."""
