from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from edgecnn.bench.environment import (
    MachineState,
    describe_environment,
    other_busy_cores,
    read_machine_state,
    was_throttled,
)
from edgecnn.core.board import peak_rss_bytes


def _files(root: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def raspberry_pi(tmp_path: Path) -> Path:
    """Return the root of a Raspberry Pi 4's system files."""
    cpu, thermal = "sys/devices/system/cpu", "sys/class/thermal"
    return _files(
        tmp_path,
        {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\nCPU part\t: 0xd08\n",
            "proc/meminfo": "MemTotal:        3884384 kB\nMemFree:          100 kB\n",
            "proc/loadavg": "0.52 0.30 0.10 1/200 1234\n",
            "proc/stat": "cpu  1000 0 500 90000 10 0 20 0 0 0\ncpu0 1 1 1 1\n",
            "proc/self/status": "Name:\tpython\nVmHWM:\t   51200 kB\n",
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
            f"{cpu}/cpu0/cpufreq/scaling_governor": "ondemand\n",
            f"{cpu}/cpu0/cpufreq/cpuinfo_max_freq": "1500000\n",
            f"{cpu}/cpu3/cpufreq/cpuinfo_max_freq": "1800000\n",
            f"{thermal}/thermal_zone0/type": "cpu-thermal\n",
            f"{thermal}/thermal_zone0/temp": "48686\n",
            f"{thermal}/thermal_zone1/type": "cpu-thermal\n",
            f"{thermal}/thermal_zone1/temp": "50147\n",
        },
    )


def test_a_raspberry_pi_is_described(raspberry_pi: Path) -> None:
    environment = describe_environment(raspberry_pi)
    assert environment.board == "Raspberry Pi 4 Model B Rev 1.4"
    assert environment.cpu is None
    assert environment.memory_bytes == 3884384 * 1024
    assert environment.os == "Debian GNU/Linux 12 (bookworm)"
    assert environment.governor == "ondemand"
    assert environment.max_frequency_hz == 1_800_000_000
    assert environment.temperatures_celsius == {"cpu-thermal": 50.147}
    assert environment.load_average == 0.52


def test_values_that_the_system_does_not_provide_are_none(tmp_path: Path) -> None:
    environment = describe_environment(tmp_path)
    values = (environment.board, environment.cpu, environment.memory_bytes, environment.governor)
    assert values == (None, None, None, None)
    assert environment.max_frequency_hz is None
    assert environment.load_average is None
    assert environment.temperatures_celsius == {}
    assert peak_rss_bytes(tmp_path) is None
    assert read_machine_state(tmp_path).busy_cpu_s is None


def test_the_description_of_this_machine_is_plain_json_without_its_host_name() -> None:
    record = describe_environment().to_json()
    assert json.loads(json.dumps(record)) == record
    assert record["python"] == platform.python_version()
    assert platform.node() not in json.dumps(record).split('"')


@pytest.mark.parametrize(("answer", "throttled"), [("0x0", False), ("0x50005", True), ("0x50000", False)])
def test_throttling_is_read_from_the_firmware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, throttled: bool
) -> None:
    command = _files(tmp_path, {"vcgencmd": f"#!/bin/sh\necho throttled={answer}\n"}) / "vcgencmd"
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert describe_environment(tmp_path).throttled is throttled


def test_throttling_is_unknown_if_the_firmware_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = _files(tmp_path, {"vcgencmd": "#!/bin/sh\nexit 255\n"}) / "vcgencmd"
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert describe_environment(tmp_path).throttled is None


def test_peak_memory_is_in_bytes(raspberry_pi: Path) -> None:
    assert peak_rss_bytes(raspberry_pi) == 50 * 2**20


def test_processor_time_excludes_idle_time(raspberry_pi: Path) -> None:
    assert read_machine_state(raspberry_pi).busy_cpu_s == 1520 / os.sysconf("SC_CLK_TCK")


def test_processor_times_are_unknown_in_a_container_that_hides_them(tmp_path: Path) -> None:
    _files(tmp_path, {"proc/stat": "cpu  0 0 0 0 0 0 0 0 0 0\n"})
    assert read_machine_state(tmp_path).busy_cpu_s is None


def _state(clock_s: float, own_cpu_s: float, busy_cpu_s: float | None, bits: int | None = None) -> MachineState:
    return MachineState(clock_s, own_cpu_s, busy_cpu_s, bits)


def test_other_processes_exclude_this_one() -> None:
    assert other_busy_cores(_state(0, 1, 100), _state(10, 9, 123)) == pytest.approx(1.5)
    assert other_busy_cores(_state(0, 1, 100), _state(10, 9, 107.99)) == 0.0
    assert other_busy_cores(_state(0, 1, None), _state(10, 9, 123)) is None


@pytest.mark.parametrize(
    ("before", "after", "throttled"),
    [
        (0x0, 0x0, False),
        (0x50000, 0x50000, False),  # only before, since boot
        (0x0, 0x4, True),  # now
        (0x0, 0x40000, True),  # between the states
        (None, None, None),
    ],
)
def test_throttling_is_detected_at_both_ends_and_between(
    before: int | None, after: int | None, throttled: bool | None
) -> None:
    assert was_throttled(_state(0, 0, 0, before), _state(1, 0, 0, after)) is throttled
