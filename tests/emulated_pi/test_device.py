"""Tests that the emulated Raspberry Pi behaves like one: its packages, users, services and power supply."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.emulated_pi.conftest import CACHE
from tests.emulated_pi.device import Device, make_device
from tests.emulated_pi.failure import DeviceError, run_or_raise

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parent.parent.parent
SERVICE = """\
[Service]
Type=notify
EnvironmentFile=/etc/counter/%i.env
ExecStart=/usr/bin/python3 -S /opt/counter.py ${GREETING} $MORE
DynamicUser=yes
SupplementaryGroups=video
TimeoutStopSec=5
[Install]
WantedBy=multi-user.target
"""
COUNTER = """\
import os, socket, sys, time
print("I am", os.getuid(), "and say", sys.argv[1:], flush=True)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
    service.sendto(b"READY=1\\nSTATUS=counting", os.environ["NOTIFY_SOCKET"])
time.sleep(3600)
"""


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s, f"{what} did not happen"
        time.sleep(0.1)


def loop_devices_of(folder: Path) -> str:
    return run_or_raise("losetup", "--associated", folder / "card.img")


def test_packages_install_without_a_network(emulated_pi: Device) -> None:
    pip = "PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) python3 -m pip"
    emulated_pi.run(f"{pip} install --quiet --no-index --find-links /opt/wheels --target installed flatbuffers")
    assert "installed/flatbuffers" in emulated_pi.run(
        "PYTHONPATH=installed python3 -c 'import flatbuffers; print(flatbuffers)'"
    )


def test_its_user_only_has_rights_with_sudo(emulated_pi: Device) -> None:
    assert emulated_pi.run("id -un; sudo -n id -un; sudo -n printenv QEMU_CPU").split() == ["pi", "root", "cortex-a72"]
    with pytest.raises(DeviceError, match="Permission denied"):
        emulated_pi.run("echo x > /etc/x")


def test_root_on_the_device_has_no_rights_over_the_host(emulated_pi: Device) -> None:
    hostname = Path("/proc/sys/kernel/hostname").read_text()
    with pytest.raises(DeviceError, match="not permitted"):
        emulated_pi.run("mknod disk b 7 0", user="root")
    emulated_pi.run("hostname another", user="root")
    assert Path("/proc/sys/kernel/hostname").read_text() == hostname


def test_a_device_is_not_created_over_another(emulated_pi: Device) -> None:
    with pytest.raises(DeviceError, match="already is a device"):
        make_device(emulated_pi.folder, CACHE)


@pytest.mark.usefixtures("new_device")
def test_the_remains_of_an_interrupted_run_are_recreated(tmp_path: Path) -> None:
    device = make_device(tmp_path, CACHE)
    for name in ("device.json", "known_hosts"):
        (device.folder / name).unlink()
    device = make_device(tmp_path, CACHE)
    device.start()
    assert device.run("id -un") == "pi\n"
    device.stop()


def test_files_are_copied_both_ways(emulated_pi: Device, tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    (tmp_path / "there").write_bytes(content)
    emulated_pi.put(tmp_path / "there", "/home/pi/there")
    run_or_raise("sftp", "-q", "-F", emulated_pi.ssh_config, "emulated-pi:there", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert (emulated_pi.root / "home/pi/there").read_bytes() == content


def test_another_host_key_is_refused(emulated_pi: Device, tmp_path: Path) -> None:
    known = (emulated_pi.folder / "known_hosts").read_text().split()
    (tmp_path / "known_hosts").write_text(f"{known[0]} {(emulated_pi.folder / 'client_key.pub').read_text()}")
    known_hosts = f"UserKnownHostsFile={tmp_path}/known_hosts"
    with pytest.raises(DeviceError, match="verification failed"):
        run_or_raise("ssh", "-F", emulated_pi.ssh_config, "-o", known_hosts, "emulated-pi", "true")


@pytest.fixture
def service(emulated_pi: Device) -> str:
    """Install a unit with the settings of edgecnn's unit, without starting it; return its name."""
    files = {
        "/opt/counter.py": COUNTER,
        "/etc/systemd/system/counter@.service": SERVICE,
        "/etc/counter/door.env": "GREETING=good morning\nMORE=a b\n",
    }
    emulated_pi.run("mkdir -p /etc/counter", user="root")
    for path, text in files.items():
        emulated_pi.run(f"cat > {path}", user="root", send=text)
    return "counter@door"


def test_a_service_runs_as_its_unit_specifies(emulated_pi: Device, service: str) -> None:
    assert emulated_pi.ask(f"systemctl start {service}").returncode == 1
    emulated_pi.run(f"sudo systemctl start {service}")
    assert emulated_pi.run(f"systemctl is-active {service}").strip() == "active"
    log = emulated_pi.run(f"journalctl --unit {service} --output cat")
    assert log == "I am 61184 and say ['good morning', 'a', 'b']\n"
    assert "counting" in emulated_pi.run(f"systemctl status {service}")
    emulated_pi.run(f"sudo systemctl stop {service}")
    assert emulated_pi.ask(f"systemctl is-active {service}").returncode == 3


def test_a_service_that_cannot_start_reports_it(emulated_pi: Device, service: str) -> None:
    assert service
    result = emulated_pi.ask("sudo systemctl start counter@nobody")
    assert result.returncode == 1 and "failed" in result.stderr
    assert "/etc/counter/nobody.env" in emulated_pi.run("journalctl -u counter@nobody")
    assert emulated_pi.run("systemctl show -p ActiveState,Result counter@nobody").split() == [
        "ActiveState=failed",
        "Result=resources",
    ]


def test_enabled_services_start_when_the_power_returns(emulated_pi: Device, service: str) -> None:
    emulated_pi.run(f"sudo systemctl enable {service}; sync")
    emulated_pi.kill()
    assert not emulated_pi.is_on
    with pytest.raises(DeviceError):
        emulated_pi.run("true")
    emulated_pi.start()
    wait_for(lambda: emulated_pi.ask(f"systemctl is-active {service}").returncode == 0, "the service's start")
    emulated_pi.run(f"sudo systemctl disable --now {service}")


def test_a_power_cut_loses_unsynced_files(emulated_pi: Device) -> None:
    emulated_pi.run("mkdir -p notes; echo kept > notes/kept; sync; echo lost > notes/lost")
    assert emulated_pi.run("ls notes").split() == ["kept", "lost"]
    emulated_pi.kill()
    emulated_pi.start()
    assert emulated_pi.run("ls notes; cat notes/kept").split() == ["kept", "kept"]


def test_files_survive_switching_off(emulated_pi: Device) -> None:
    emulated_pi.run("echo written > written")
    emulated_pi.stop()
    emulated_pi.start()
    assert emulated_pi.run("cat written") == "written\n"


def test_a_full_card_is_full(emulated_pi: Device) -> None:
    emulated_pi.fill_card(leave_bytes=1 << 20)
    try:
        emulated_pi.run("head -c 900k /dev/zero > small")
        with pytest.raises(DeviceError, match="No space left on device"):
            emulated_pi.run("head -c 2M /dev/zero > large")
    finally:
        emulated_pi.free_card()
    emulated_pi.run("head -c 2M /dev/zero > large; rm small large")


def test_a_stopped_device_leaves_nothing_behind(new_device: Callable[..., Device]) -> None:
    mounts = Path("/proc/self/mounts").read_text()
    device = new_device()
    namespace = os.readlink(f"/proc/{(device.folder / 'init').read_text().split()[0]}/ns/pid")
    device.ask("nohup sleep 3600 > /dev/null 2>&1 &")
    assert len(processes_in(namespace)) >= 2
    device.stop()
    assert processes_in(namespace) == []
    assert loop_devices_of(device.folder) == ""
    assert Path("/proc/self/mounts").read_text() == mounts


@pytest.mark.usefixtures("new_device")
def test_a_device_ends_with_its_starter_and_can_start_again(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.emulated_pi.device import make_device\n"
        "make_device(Path(sys.argv[1]), Path(sys.argv[2])).start(); print('on', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path, CACHE], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None and maker.stdout.readline() == "on\n"
        assert loop_devices_of(tmp_path)
        maker.send_signal(signal.SIGKILL)
    wait_for(lambda: not loop_devices_of(tmp_path), "the device's end")
    device = Device(tmp_path)
    device.start()
    assert device.run("echo here") == "here\n"
    device.stop()


def processes_in(namespace: str) -> list[str]:
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns/pid") == namespace:
                processes.append(process.name)
        except OSError:
            continue
    return processes
