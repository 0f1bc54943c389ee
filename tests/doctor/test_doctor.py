from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.board import THROTTLE_REASONS, Memory
from edgecnn.core.settings.device_profile import TemperatureLimits, find_profile
from edgecnn.doctor import cameras
from edgecnn.doctor.cameras import check_cameras, group_finding, listed_cameras, usb_cameras
from edgecnn.doctor.checkup import checkup_record, examine, problems_of
from edgecnn.doctor.delegates import check_delegates
from edgecnn.doctor.finding import Finding, Status, output_of
from edgecnn.doctor.machine import (
    check_clock,
    check_governor,
    check_memory_limit,
    check_temperature,
    check_throttling,
    disk_finding,
    memory_finding,
    temperature_finding,
    throttling_finding,
)
from edgecnn.doctor.software import check_interpreter, check_opencv, numpy_finding, system_finding
from edgecnn.runtime.inference.delegate import KNOWN_LIBRARIES
from tests.doctor.fake_board import (
    CAMERAS,
    NO_CAMERAS,
    write_board,
    write_files,
    write_program,
    write_programs,
    write_video_device,
)

MIB = 2**20
USUAL = TemperatureLimits(throttle_celsius=80, limit_celsius=85)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return write_board(tmp_path / "root")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder at the front of PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder at the front of Python's search path."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


# ---- all checks


def test_a_healthy_board_has_no_problem(board: Path, programs: Path) -> None:
    write_programs(programs)
    write_video_device(board, 0, "HD Pro Webcam C920")
    findings = {finding.check: finding for finding in examine(board)}
    names = (
        "board",
        "usb camera",
        "csi camera",
        "governor",
        "temperature",
        "throttling",
        "memory",
        "memory limit",
        "clock",
    )
    assert [(name, findings[name].status) for name in names] == [(name, "ok") for name in names]
    assert findings["board"].found == "Raspberry Pi 4 Model B Rev 1.4, profile raspberry_pi_4"
    assert findings["system"].found.startswith("64-bit arm64, kernel ")
    assert problems_of(findings.values()) == ()


def test_every_check_runs_on_this_machine_without_failing() -> None:
    findings = examine()
    checks = [finding.check for finding in findings]
    assert len(set(checks)) == len(checks) == 17
    assert all(finding.found for finding in findings)


def test_every_defect_has_a_fix(board: Path, programs: Path) -> None:
    write_programs(programs, throttled="0x50005", cameras=NO_CAMERAS, synchronized="no")
    write_files(board, {"proc/meminfo": "MemTotal: 440000 kB\nMemAvailable: 60000 kB\nSwapTotal: 0 kB\n"})
    findings = examine(board)
    wrong = {finding.check for finding in findings if finding.status in ("warning", "problem")}
    assert wrong >= {"usb camera", "csi camera", "throttling", "memory", "clock"}
    assert [finding.check for finding in findings if finding.check in wrong and not finding.fix] == []


def test_the_record_counts_only_problems() -> None:
    statuses: tuple[Status, ...] = ("ok", "warning", "problem", "unknown", "problem")
    findings = tuple(Finding(f"check {number}", status, "found") for number, status in enumerate(statuses))
    record = checkup_record(findings)
    assert record["problems"] == 2
    assert record["findings"][0] == {"check": "check 0", "status": "ok", "found": "found", "fix": ""}


# ---- installed software


def test_the_interpreter_runs_a_model_on_this_machine() -> None:
    finding = check_interpreter()
    assert (finding.status, finding.fix) == ("ok", "")
    assert finding.found.startswith("ai-edge-litert ") and finding.found.endswith(", runs a model")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGILL)", "killed by SIGILL while running a model"),
        ("raise ImportError('libLiteRt.so: cannot open shared object file')", "libLiteRt.so: cannot open shared"),
        ("raise ModuleNotFoundError(name='ai_edge_litert')", "no TFLite interpreter is installed: pip install"),
        (
            "class Interpreter:\n"
            "    def __init__(self, **options): pass\n"
            "    def allocate_tensors(self): pass\n"
            "    def set_tensor(self, index, values): self.values = values\n"
            "    def invoke(self): pass\n"
            "    def get_tensor(self, index): return self.values\n"
            "    def _get_ops_details(self): return []\n",
            "computes wrong results: [-1.0, 0.0, 0.5, 2.0]",
        ),
    ],
    ids=["killed", "library missing", "not installed", "wrong"],
)
def test_a_broken_interpreter_is_a_problem(body: str, found: str, modules: Path) -> None:
    write_files(modules, {"ai_edge_litert/__init__.py": "", "ai_edge_litert/interpreter.py": body})
    finding = check_interpreter()
    assert finding.status == "problem" and finding.fix
    assert found in finding.found


def test_a_file_in_the_working_folder_does_not_mislead_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"ai_edge_litert.py": "raise RuntimeError", "numpy.py": "raise RuntimeError"})
    monkeypatch.chdir(tmp_path)
    assert check_interpreter().status == "ok"


def test_opencv_shows_windows_and_reads_cameras() -> None:
    finding = check_opencv()
    assert finding.status == "ok"
    assert "windows: qt" in finding.found and "USB cameras: V4L2" in finding.found


@pytest.mark.parametrize(
    ("found", "litert", "old_runtime", "status", "fix"),
    [
        ("2.4.6", "2.3.0", None, "ok", ""),
        ("1.26.4", None, "2.14.0", "ok", ""),
        ("2.4.6", None, "2.14.0", "problem", "'numpy<2'"),
        ("2.4.6", "2.3.0", "2.14.0", "ok", ""),
        ("1.24.2", "2.3.0", None, "problem", "'numpy>=1.26'"),
    ],
)
def test_numpy_must_suit_edgecnn_and_the_interpreter(
    found: str, litert: str | None, old_runtime: str | None, status: str, fix: str
) -> None:
    finding = numpy_finding(found, litert, old_runtime)
    assert finding.status == status
    assert finding.fix.endswith(f"-m pip install {fix}" if fix else "")


@pytest.mark.parametrize(
    ("machine", "architecture", "bits", "status"),
    [
        ("aarch64", "arm64", 64, "ok"),
        ("x86_64", "", 64, "ok"),
        ("aarch64", "armhf", 32, "warning"),
        ("aarch64", "armhf", 64, "warning"),
        ("armv7l", "armhf", 32, "warning"),
    ],
)
def test_32_bit_programs_under_a_64_bit_kernel_are_reported(
    machine: str, architecture: str, bits: int, status: str
) -> None:
    finding = system_finding(machine, architecture, bits)
    assert finding.status == status
    assert machine in finding.found and str(bits) in finding.found


# ---- cameras


def test_metadata_devices_and_the_boards_own_devices_are_not_usb_cameras(board: Path) -> None:
    write_video_device(board, 10, "bcm2835-codec-decode")
    write_video_device(board, 19, "rpi-hevc-dec")
    write_video_device(board, 20, "pispbe-input")
    write_video_device(board, 2, "HD Pro Webcam C920")
    write_video_device(board, 3, "HD Pro Webcam C920", index=1)
    write_video_device(board, 0, "USB 2.0 Camera")
    listed = [(camera.number, camera.name, camera.usable) for camera in usb_cameras(board)]
    assert listed == [(0, "USB 2.0 Camera", True), (2, "HD Pro Webcam C920", True)]


def test_a_camera_without_permission_is_a_problem(board: Path, programs: Path) -> None:
    write_programs(programs)
    write_video_device(board, 0, "USB 2.0 Camera", node=False)
    usb, _ = check_cameras(board)
    assert (usb.status, usb.found) == ("problem", "0 (USB 2.0 Camera): permission denied")
    assert usb.fix.startswith("sudo usermod -aG video ")


@pytest.mark.parametrize("program", ["rpicam-hello", "libcamera-hello"])
def test_csi_cameras_are_listed_by_the_program_under_either_name(
    program: str, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(tmp_path / "alone", program, f"[ \"$*\" = --list-cameras ] || exit 2\ncat <<'END'\n{CAMERAS}END")
    monkeypatch.setenv("PATH", f"{tmp_path / 'alone'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert listed_cameras() == ("imx708", "imx219")
    usb, csi = check_cameras(board)
    assert (usb.status, csi.status) == ("ok", "ok")
    assert (csi.found, csi.fix) == ("0 (imx708), 1 (imx219)", "edgecnn run MODEL --source csi")


@pytest.mark.parametrize(
    ("body", "sensors"),
    [
        ("echo 'No cameras available!'", ()),
        ("echo 'No cameras available!'; exit 255", ()),
        ("echo 'cannot open /dev/dma_heap' >&2; exit 1", None),
        ("sleep 600", None),
    ],
)
def test_a_list_without_cameras_differs_from_no_list(
    body: str, sensors: tuple[str, ...] | None, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "_LISTING_TIMEOUT_S", 0.5 if "sleep" in body else 60)
    for program in cameras.LISTING_PROGRAMS:
        write_program(programs, program, f"exec {body}" if "sleep" in body else body)
    assert listed_cameras() == sensors


def test_no_camera_is_a_warning_and_one_of_either_kind_is_enough(board: Path, programs: Path) -> None:
    write_programs(programs, cameras=NO_CAMERAS)
    assert [finding.status for finding in check_cameras(board)] == ["warning", "warning"]
    write_video_device(board, 0, "USB 2.0 Camera")
    assert [finding.status for finding in check_cameras(board)] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("video", "groups", "user", "status"),
    [(44, [44, 100], 1000, "ok"), (44, [100], 1000, "warning"), (44, [0], 0, "ok"), (None, [100], 1000, "unknown")],
)
def test_cameras_and_firmware_need_the_group_video(
    video: int | None, groups: list[int], user: int, status: str
) -> None:
    assert group_finding(video, groups, user).status == status


# ---- the board


@pytest.mark.parametrize(
    ("governor", "status", "has_fix"),
    [("performance", "ok", False), ("ondemand", "ok", True), ("powersave", "warning", True)],
)
def test_each_governor_has_its_advice(governor: str, status: str, has_fix: bool, board: Path) -> None:
    write_files(board, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": governor})
    finding = check_governor(board)
    assert (finding.status, bool(finding.fix)) == (status, has_fix)


@pytest.mark.parametrize(
    ("celsius", "status"), [(45, "ok"), (69.9, "ok"), (70, "warning"), (79.9, "warning"), (80, "problem")]
)
def test_heat_is_reported_before_it_slows_the_board(celsius: float, status: str) -> None:
    assert temperature_finding(celsius, USUAL).status == status


def test_the_soft_limit_of_a_board_is_used(board: Path) -> None:
    write_files(
        board,
        {
            "proc/device-tree/model": "Raspberry Pi 3 Model B Plus Rev 1.3\0",
            "sys/class/thermal/thermal_zone0/temp": "61000",
        },
    )
    assert check_temperature(board).status == "warning"
    limits = find_profile("raspberry_pi_3b_plus").temperature
    assert limits is not None and limits.soft_celsius == 60


def test_under_voltage_is_reported_with_advice_on_the_power_supply(programs: Path) -> None:
    write_programs(programs, throttled="0x50005")
    finding = check_throttling()
    assert finding.status == "problem"
    assert finding.found == "under-voltage, throttled now; under-voltage, throttled since boot"
    assert "power supply" in finding.fix and "fan" not in finding.fix


def test_throttling_in_the_past_is_a_warning() -> None:
    finding = throttling_finding(0x80000)
    assert (finding.status, finding.found) == ("warning", "soft temperature limit since boot")
    assert "fan" in finding.fix and "power supply" not in finding.fix


@given(st.integers(0, 15), st.integers(0, 15))
def test_every_reason_of_the_firmware_is_named_and_has_a_fix(now: int, before: int) -> None:
    finding = throttling_finding(before << 16 | now)
    assert finding.status == ("problem" if now else "warning" if before else "ok")
    assert bool(finding.fix) == bool(now or before)
    for bit, reason in enumerate(THROTTLE_REASONS):
        assert finding.found.count(reason) >= (now >> bit & 1) + (before >> bit & 1)


@pytest.mark.parametrize("body", ["exit 255", "echo nonsense"])
def test_throttling_is_unknown_if_the_firmware_does_not_answer(body: str, programs: Path) -> None:
    write_program(programs, "vcgencmd", body)
    assert check_throttling().status == "unknown"


@pytest.mark.parametrize(
    ("available_mb", "swap_mb", "status"),
    [(60, 512, "problem"), (180, 0, "warning"), (180, 512, "ok"), (300, 0, "ok")],
)
def test_memory_must_be_enough_for_a_classifier(available_mb: int, swap_mb: int, status: str) -> None:
    finding = memory_finding(Memory(512 * MIB, available_mb * MIB, swap_mb * MIB))
    assert finding.status == status
    assert finding.found == f"{available_mb} MB free of 512, swap {swap_mb} MB"


@pytest.mark.parametrize(
    ("controllers", "status"),
    [("cpuset cpu io memory pids\n", "ok"), ("cpuset cpu io pids\n", "warning"), ("\n", "unknown")],
)
def test_a_kernel_that_does_not_limit_a_services_memory_is_reported(controllers: str, status: str, board: Path) -> None:
    write_files(board, {"sys/fs/cgroup/cgroup.controllers": controllers})
    finding = check_memory_limit(board)
    assert finding.status == status
    assert ("cgroup_enable=memory" in finding.fix) == (status == "warning")


def test_the_fix_for_the_memory_limit_only_extends_the_kernels_command_line(board: Path, tmp_path: Path) -> None:
    write_files(board, {"sys/fs/cgroup/cgroup.controllers": "cpu pids\n"})
    line = tmp_path / "cmdline.txt"
    line.write_text("console=tty1 root=PARTUUID=1-02 rootwait\n")
    edit = check_memory_limit(board).fix.removeprefix("sudo ").partition(" && ")[0]
    subprocess.run(["sh", "-c", edit.replace("/boot/firmware/cmdline.txt", str(line))], check=True)
    assert line.read_text() == "console=tty1 root=PARTUUID=1-02 rootwait cgroup_enable=memory\n"


@pytest.mark.parametrize(("free_mb", "status"), [(50, "problem"), (300, "warning"), (5000, "ok")])
def test_a_card_that_is_nearly_full_is_reported(free_mb: int, status: str) -> None:
    assert disk_finding(free_mb * MIB).status == status


@pytest.mark.parametrize(
    ("body", "status"), [("echo yes", "ok"), ("echo no", "warning"), ("exit 1", "unknown"), ("echo huh", "unknown")]
)
def test_a_clock_that_is_not_synchronized_is_reported(body: str, status: str, programs: Path) -> None:
    write_program(programs, "timedatectl", body)
    assert check_clock().status == status


def test_an_edge_tpu_without_its_library_is_reported(board: Path) -> None:
    assert check_delegates(board).found == "none: the CPU runs the model"
    write_files(board, {"sys/bus/usb/devices/1-1/idVendor": "18d1\n", "sys/bus/usb/devices/1-1/idProduct": "9302\n"})
    missing = check_delegates(board)
    assert missing.status == "warning" and "libedgetpu1-std" in missing.fix
    write_files(board, {"usr/lib/aarch64-linux-gnu/libedgetpu.so.1": ""})
    assert check_delegates(board) == Finding("delegates", "ok", "libedgetpu.so.1")


def test_a_library_without_an_edge_tpu_is_reported(board: Path) -> None:
    write_files(board, {"usr/lib/libedgetpu.so.1": "", "sys/bus/usb/devices/1-1/idVendor": "046d\n"})
    assert check_delegates(board).found == "libedgetpu.so.1, but no Edge TPU is plugged in"


def test_the_check_knows_every_library_that_auto_tries(board: Path) -> None:
    for library in KNOWN_LIBRARIES:
        write_files(board, {library[1:] if library.startswith("/") else f"usr/lib/aarch64-linux-gnu/{library}": ""})
    found = check_delegates(board).found
    assert [Path(library).name in found for library in KNOWN_LIBRARIES] == [True] * len(KNOWN_LIBRARIES)


def test_a_missing_or_hanging_program_has_no_output(programs: Path) -> None:
    write_program(programs, "slow", "exec sleep 600")
    assert output_of(["no-such-program"], timeout_s=5) is None
    assert output_of(["slow"], timeout_s=0.2) is None
