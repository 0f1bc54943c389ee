"""How many processors there are for this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores() -> int | None:
    """Cores that this process may run on."""
    # Absent outside Linux.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count()


def usable_processors(root: Path = Path("/")) -> int:
    """Processors that this process may keep busy, by its affinity and the CPU quota of its control groups (v2), as
    systemd's `CPUQuota=` and containers set it. `root` is where `/proc` and `/sys` are.
    """
    return max(1, min([usable_cores() or 1, *_quotas(root)]))


def _quotas(root: Path) -> Iterator[int]:
    """Whole processors that the process's group may use and, as it is bound by theirs too, the groups around it."""
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
