from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgecnn.core.processors import usable_processors


def write_system(root: Path, groups: str, **quotas: str) -> Path:
    """Write the files that describe control groups; `quotas` are by group, with "__" for "/"."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for group, quota in quotas.items():
        folder = root / "sys/fs/cgroup" / group.replace("__", "/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(f"{quota}\n")
    return root


@pytest.fixture
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


UNIT = "0::/system.slice/edgecnn.service\n"


@pytest.mark.usefixtures("eight_processors")
@pytest.mark.parametrize(
    ("groups", "quotas", "expected"),
    [
        (UNIT, {"system.slice__edgecnn.service": "300000 100000"}, 3),
        (UNIT, {"system.slice__edgecnn.service": "max 100000"}, 8),
        (UNIT, {"system.slice": "250000 100000", "system.slice__edgecnn.service": "600000 100000"}, 2),
        (UNIT, {"system.slice__edgecnn.service": "20000 100000"}, 1),
        (UNIT, {"system.slice__other.service": "100000 100000"}, 8),
        ("0::/\n", {".": "400000 100000"}, 4),
        ("4:cpu:/docker\n", {".": "400000 100000"}, 8),
    ],
)
def test_smallest_quota_of_enclosing_groups_limits_processors(
    groups: str, quotas: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert usable_processors(write_system(tmp_path, groups, **quotas)) == expected


@pytest.mark.usefixtures("eight_processors")
def test_all_processors_are_usable_without_control_groups(tmp_path: Path) -> None:
    assert usable_processors(tmp_path) == 8


def test_this_process_may_use_at_least_one_processor() -> None:
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)
