"""The result of a benchmark in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edgecnn.bench.conditions import Conditions
from edgecnn.bench.isolated_process import IsolatedResult
from edgecnn.bench.photo_sample import PhotoAccuracy
from edgecnn.core.frame import StageLatency
from edgecnn.core.metrics.latency import latency_stats
from edgecnn.core.records.benchmark import STAGES, Energy, Environment, ModelIdentity, Protocol, Stages


@dataclass(frozen=True, slots=True)
class ModelLatency:
    """Measurements of one model, in milliseconds, in the order they were made."""

    identity: ModelIdentity
    isolated: IsolatedResult
    samples: tuple[StageLatency, ...]
    energy: Energy | None = None
    """None if the board does not measure its power."""

    def stage_ms(self, stage: str) -> list[float]:
        """Return the samples of one of `STAGES`, in milliseconds."""
        if stage == "total":
            return [sum(sample) for sample in self.samples]
        return [getattr(sample, stage) for sample in self.samples]

    def stages(self) -> Stages:
        """Return the summary of every stage."""
        return Stages(**{stage: latency_stats(self.stage_ms(stage)) for stage in STAGES})


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """A finished benchmark; it is valid if there are no `invalid_reasons`."""

    model: ModelLatency
    baseline: ModelLatency | None
    sweep: tuple[ModelLatency, ...]
    """The model with every number of threads of a sweep; empty without a sweep."""
    environment: Environment
    """The machine before the measurement."""
    conditions: Conditions
    """The machine during the measurement."""
    protocol: Protocol
    invalid_reasons: tuple[str, ...]
    created: datetime
    accuracy: PhotoAccuracy | None = None
    """Accuracy on the user's photos, if there were any."""
