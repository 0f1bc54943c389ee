"""JSON objects for the script of the page."""

from __future__ import annotations

import time
from typing import Any

from edgecnn.runtime.decision import event_record
from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.sinks import Result, result_record
from edgecnn.runtime.web.board import Board, KeptEvent
from edgecnn.runtime.web.figures import CameraView, Second

SHOWN_EVENTS = 50
"""Number of events in the initial state."""


def hello_record(board: Board) -> dict[str, Any]:
    """Build the complete state, for a page that was just opened or has reconnected.

    Args:
        board: State of the run.

    Returns:
        The object.
    """
    views = [camera.view() for camera in board.cameras]
    return {
        **_run_record(board),
        "version": board.version,
        "model": board.model,
        "classes": len(board.labels),
        "started_at": round(board.started_at, 3),
        "cameras": [_complete_camera_record(view) for view in views],
        "events": [kept_event_record(event) for event in board.events_after(0)[-SHOWN_EVENTS:]],
    }


def status_record(board: Board) -> dict[str, Any]:
    """Build the update that is sent every second, without results and events.

    Args:
        board: State of the run.

    Returns:
        The object.
    """
    return {**_run_record(board), "cameras": [camera_record(camera.view()) for camera in board.cameras]}


def camera_result_record(result: Result) -> dict[str, Any]:
    """Build the object of a result.

    Args:
        result: Result of any camera.

    Returns:
        The object that `run --json` prints, plus the index of the camera and how long the decision has held.
    """
    decision = result.decision
    held_s = None
    if decision is not None and decision.since_ns is not None:
        held_s = round((result.frame.captured_ns - decision.since_ns) / 1e9, 3)
    return {**result_record(result), "camera": result.camera, "held_s": held_s}


def kept_event_record(kept: KeptEvent) -> dict[str, Any]:
    """Build the object of an event.

    Args:
        kept: Event from the board.

    Returns:
        The object that `run --json` prints, plus the index of the camera.
    """
    event = kept.event
    return {**event_record(event.event, event.source, event.at), "camera": event.camera}


def camera_record(view: CameraView) -> dict[str, Any]:
    """Build the object with the statistics of a camera.

    Args:
        view: Statistics of the camera.

    Returns:
        The object, with the newest second of the history.
    """
    status = view.status
    return {
        "state": status.state if status else "connected",
        "losses": status.losses if status else 0,
        "reconnects": status.reconnects if status else 0,
        "last_error": status.last_error if status else "",
        "bad_pictures": view.bad_pictures,
        "frames": view.frames,
        "dropped": view.dropped,
        "per_second": round(view.per_second, 2),
        "since_result_s": None if view.since_result_s is None else round(view.since_result_s, 3),
        "second": _second_record(view.seconds[-1]) if view.seconds else None,
    }


def _complete_camera_record(view: CameraView) -> dict[str, Any]:
    return {
        "name": view.name,
        "live": view.live,
        **camera_record(view),
        "history": [_second_record(second) for second in view.seconds],
        "latest": None if view.latest is None else camera_result_record(view.latest),
    }


def _run_record(board: Board) -> dict[str, Any]:
    return {
        "now": round(time.time(), 3),
        "uptime_s": round(board.uptime_s, 1),
        "outputs": [_output_record(output) for output in board.outputs()],
    }


def _output_record(output: OutputStatus) -> dict[str, Any]:
    return {
        "name": output.name,
        "delivered": output.delivered,
        "dropped": output.dropped,
        "failed": output.failed,
        "failing": output.failing,
        "last_error": output.last_error,
    }


def _second_record(second: Second) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 2)

    return {
        "at": round(second.at, 2),
        "frames": second.frames,
        "age_ms": rounded(second.age_ms),
        "oldest_ms": rounded(second.oldest_ms),
        "inference_ms": rounded(second.inference_ms),
    }
