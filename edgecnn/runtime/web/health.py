"""Whether the run does what it is there for: `/healthz`."""

from __future__ import annotations

from typing import Any, Literal

from edgecnn.runtime.web.board import Board
from edgecnn.runtime.web.figures import CameraView

QUIET_AFTER_S = 10.0
"""A camera without a result for so long is not well, unless the run was told to expect that."""

CameraHealth = Literal["ok", "starting", "silent", "reconnecting"]


def health_record(board: Board) -> dict[str, Any]:
    """The JSON object of `/healthz`; all is well only if its `status` is "ok"."""
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
    """How a camera is doing; with `quiet_after_s` None, no silence is too long for one that is connected."""
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
