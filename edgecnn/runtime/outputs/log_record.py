"""Log records of results and events."""

from __future__ import annotations

from datetime import UTC, datetime

from edgecnn.runtime.sinks import CameraEvent, Result

LogValue = str | int | float | None
LogRecord = dict[str, LogValue]
"""Values by column, with every one of `COLUMNS`."""

COLUMNS = (
    "time",
    "kind",
    "source",
    "frame",
    "label",
    "index",
    "score",
    "age_ms",
    "capture_ms",
    "preprocess_ms",
    "invoke_ms",
    "postprocess_ms",
    "dropped",
    "decision",
    "duration_s",
)
"""Columns of results and events together: `kind` is result, entered or left; a column that does not apply is None."""


def log_record(item: Result | CameraEvent) -> LogRecord:
    """Build the record of a result or an event.

    Args:
        item: Result or event.

    Returns:
        Values for all `COLUMNS`; `time` is UTC in ISO 8601 with milliseconds.
    """
    return dict.fromkeys(COLUMNS) | (_of_event(item) if isinstance(item, CameraEvent) else _of_result(item))


def _of_result(result: Result) -> LogRecord:
    frame, best, latency_ms = result.frame, result.prediction.best, result.prediction.latency_ms
    decided = None if result.decision is None else result.decision.current
    return {
        "time": _utc(frame.captured_at),
        "kind": "result",
        "source": frame.source,
        "frame": frame.number,
        "label": best.label,
        "index": best.index,
        "score": round(best.score, 6),
        "age_ms": round(result.age_ms, 3),
        "capture_ms": round(frame.capture_ms, 3),
        "preprocess_ms": round(latency_ms.preprocess, 3),
        "invoke_ms": round(latency_ms.invoke, 3),
        "postprocess_ms": round(latency_ms.postprocess, 3),
        "dropped": result.dropped,
        "decision": None if decided is None else decided.label,
    }


def _of_event(camera_event: CameraEvent) -> LogRecord:
    event = camera_event.event
    return {
        "time": _utc(camera_event.at),
        "kind": event.kind,
        "source": camera_event.source,
        "label": event.score.label,
        "index": event.score.index,
        "score": round(event.score.score, 6),
        "duration_s": None if event.duration_ns is None else round(event.duration_ns / 1e9, 3),
    }


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
