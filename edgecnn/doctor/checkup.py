"""The list of all checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecnn.core.board import ROOT
from edgecnn.doctor.cameras import check_cameras, check_group
from edgecnn.doctor.delegates import check_delegates
from edgecnn.doctor.finding import Finding
from edgecnn.doctor.machine import (
    check_board,
    check_clock,
    check_disk,
    check_governor,
    check_memory,
    check_memory_limit,
    check_temperature,
    check_throttling,
)
from edgecnn.doctor.software import check_interpreter, check_numpy, check_opencv, check_python, check_system


def examine(root: Path = ROOT) -> tuple[Finding, ...]:
    """Run all checks.

    Args:
        root: Folder that contains `/proc`, `/sys`, `/etc` and `/dev`. Programs are those on PATH in any case.

    Returns:
        The findings, in the order in which they are shown.
    """
    return (
        check_board(root),
        check_system(),
        check_python(),
        check_numpy(),
        check_interpreter(),
        check_opencv(),
        *check_cameras(root),
        check_group(root),
        check_delegates(root),
        check_governor(root),
        check_temperature(root),
        check_throttling(),
        check_memory(root),
        check_memory_limit(root),
        check_disk(root),
        check_clock(),
    )


def problems_of(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Select the findings that keep a classifier from running, or from running at full speed.

    Args:
        findings: Findings of all kinds.

    Returns:
        Those whose status is `problem`.
    """
    return tuple(finding for finding in findings if finding.status == "problem")


def checkup_record(findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return the JSON object that `edgecnn doctor --json` prints.

    Args:
        findings: Result of `examine`.

    Returns:
        The findings and the number of problems.
    """
    return {"findings": [asdict(finding) for finding in findings], "problems": len(problems_of(findings))}
