from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.commands import json_lines_of, run_apart, run_here
from tests.doctor.fake_board import write_files, write_programs

STATUSES = {"ok", "warning", "problem", "unknown"}


def prepended(folder: Path, variable: str) -> dict[str, str]:
    before = os.environ.get(variable)
    return {variable: f"{folder}{os.pathsep}{before}" if before else str(folder)}


def test_doctor_shows_every_check_with_what_to_do() -> None:
    shown = run_here("doctor").stdout
    assert all(word in shown for word in ("check", "status", "found", "what to do"))
    assert "ai-edge-litert" in shown and "runs a model" in shown


def test_doctor_prints_one_json_object(tmp_path: Path) -> None:
    outcome = run_apart("doctor", "--json", **prepended(write_programs(tmp_path / "programs"), "PATH"))
    record = json.loads(outcome.stdout)
    assert record.keys() == {"findings", "problems"}
    assert {finding["status"] for finding in record["findings"]} <= STATUSES
    assert {key for finding in record["findings"] for key in finding} == {"check", "status", "found", "fix"}
    assert record["problems"] == sum(finding["status"] == "problem" for finding in record["findings"])
    assert outcome.status == (1 if record["problems"] else 0)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_problem_is_an_error_in_one_line(options: tuple[str, ...], tmp_path: Path) -> None:
    programs = write_programs(tmp_path / "programs", throttled="0x1")
    outcome = run_apart("doctor", *options, **prepended(programs, "PATH"))
    assert outcome.status == 1
    assert "under-voltage now" in outcome.stdout
    assert len(outcome.log) == len(outcome.errors) == 1
    assert re.fullmatch(
        r'error: \d+ problems? found: (\w+, )*throttling(, \w+)*; see the "what to do" column', outcome.errors[0]
    )


@pytest.mark.parametrize(
    ("module", "body", "check", "fix"),
    [
        (
            "cv2.py",
            "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
            "opencv",
            "sudo apt install libgl1 libglib2.0-0 libsm6 libxcb1 libxext6",
        ),
        ("cv2.py", "raise ModuleNotFoundError(name='cv2')", "opencv", "-m pip install 'opencv-python'"),
        ("numpy.py", "raise ImportError('numpy is broken')", "numpy", "-m pip install 'numpy>=1.26'"),
        ("numpy.py", "raise SyntaxError", "numpy", "-m pip install 'numpy>=1.26'"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_a_finding(
    module: str, body: str, check: str, fix: str, tmp_path: Path
) -> None:
    outcome = run_apart("doctor", "--json", **prepended(write_files(tmp_path, {module: body}), "PYTHONPATH"))
    (finding,) = (entry for entry in json.loads(outcome.stdout)["findings"] if entry["check"] == check)
    assert (outcome.status, finding["status"]) == (1, "problem")
    assert finding["fix"].endswith(fix)


def test_devices_lists_the_profiles() -> None:
    shown = run_here("devices").stdout
    assert all(word in shown for word in ("raspberry_pi_zero_2w", "4 x Cortex-A76, 2.4 GHz", "0.5 GB", "17 ms"))


def test_devices_prints_one_profile_per_line() -> None:
    lines = json_lines_of("devices")
    (pi,) = (line for line in lines if line["name"] == "raspberry_pi_4")
    assert (pi["cores"], pi["source"], pi["delegate"]) == (4, "csi", None)
    assert pi["temperature"] == {"soft_celsius": None, "throttle_celsius": 80.0, "limit_celsius": 85.0}
    assert all(latency["source"].startswith("https://") for line in lines for latency in line["published"])
