"""Health of a run, as reported by `/healthz`."""

from __future__ import annotations

from typing import Any, Literal

from edgecnn.runtime.web.board import Board
from edgecnn.runtime.web.figures import CameraView

QUIET_AFTER_S = 10.0
"""Time without a result after which a camera counts as unhealthy, unless the run expects such silences."""

CameraHealth = Literal["ok", "starting", "silent", "reconnecting"]


def health_record(board: Board) -> dict[str, Any]:
    """Build the JSON object of `/healthz`.

    Args:
        board: State of the run.

    Returns:
        The object; its `status` is "ok" only if every camera is healthy.
    """
    views = [camera.view() for camera in board.cameras]
    states = [camera_health(view, board.uptime_s, board.quiet_after_s) for view in views]
    return {
        "status": _overall(states),
        "limit_s": board.quiet_after_s,
        "cameras": [
            {
                "camera": number,
                "name": view.name,
                "status": state,
                "since_result_s": None if view.since_result_s is None else round(view.since_result_s, 3),
                "last_error": view.status.last_error if view.status else "",
            }
            for number, (view, state) in enumerate(zip(views, states, strict=True))
        ],
    }


def camera_health(view: CameraView, uptime_s: float, quiet_after_s: float | None) -> CameraHealth:
    """Determine the health of a camera.

    Args:
        view: Statistics of the camera.
        uptime_s: Time since the start of the run.
        quiet_after_s: Longest time without a result of a healthy camera; with None, a connected camera may be silent
            for any time.

    Returns:
        The state.
    """
    reconnecting = view.status is not None and view.status.state == "reconnecting"
    limit_s = quiet_after_s if quiet_after_s is not None else 0.0 if reconnecting else float("inf")
    if view.since_result_s is not None and view.since_result_s <= limit_s:
        return "ok"
    if reconnecting:
        return "reconnecting"
    if not view.live:
        return "ok"
    return "starting" if view.since_result_s is None and uptime_s <= limit_s else "silent"


def _overall(states: list[CameraHealth]) -> Literal["ok", "starting", "degraded"]:
    if all(state == "ok" for state in states):
        return "ok"
    return "starting" if all(state in ("ok", "starting") for state in states) else "degraded"
