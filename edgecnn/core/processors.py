"""Number of processors that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores() -> int | None:
    """Return the number of cores that this process may run on.

    Returns:
        The number of cores, or None if the system does not report it.
    """
    # Absent outside Linux.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count()


def usable_processors(root: Path = Path("/")) -> int:
    """Return the number of processors that this process may keep busy.

    The limits are its CPU affinity and the CPU quota of its control groups (v2), which systemd's `CPUQuota=` and
    containers set.

    Args:
        root: Folder that contains `/proc` and `/sys`.

    Returns:
        The number of processors, 1 or more.
    """
    return max(1, min([usable_cores() or 1, *_quotas(root)]))


def _quotas(root: Path) -> Iterator[int]:
    """Yield the quota, in whole processors, of the process's control group and of every group around it.

    The quotas of the groups around it limit the process as well.
    """
    mount = root / "sys/fs/cgroup"
    lines = _read(root / "proc/self/cgroup").splitlines()
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return
    for group in (mount / own, *(mount / own).parents):
        quota, _, period = _read(group / "cpu.max").strip().partition(" ")
        if quota.isdigit() and period.isdigit():
            yield int(quota) // int(period)
        if group == mount:
            return


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
