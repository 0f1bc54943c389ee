from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.core.errors import InputError
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.live.service import open_service

DEADLINE_S = 30.0


class Manager(Closeable):
    """A stand-in for systemd: the receiving end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self._socket.setblocking(False)

    def received(self) -> list[str]:
        """Return the messages that arrived since the last call."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(autouse=True)
def unmanaged(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        # Set it before deleting it, so that monkeypatch also undoes what a test sets.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@edgecnn test {os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with Manager(address) as listening:
        yield listening


@pytest.fixture
def late_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a manager that does not exist yet."""
    address = str(tmp_path / "late")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    return address


def test_a_status_reaches_the_manager(manager: Manager) -> None:
    with open_service() as service:
        service.report_status("two words ü")
    assert manager.received() == ["STATUS=two words ü"]


def test_without_a_manager_nothing_happens() -> None:
    with open_service() as service:
        service.report_ready()
        service.report_status("fine")
        service.send_heartbeat()
        service.report_stopping()


def test_a_manager_that_is_gone_or_unreachable_is_not_an_error(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_service() as service:
        manager.close()
        service.report_ready()
        service.report_status("fine")
        service.report_stopping()
    for address in (manager.address, "/" + "long" * 100, "vsock:2:1", "@"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        with open_service() as service:
            service.report_ready()


def test_ready_is_reported_once_and_nothing_is_reported_after_close(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    with open_service() as service:
        service.report_ready()
        service.report_ready()
        service.report_stopping()
    service.send_heartbeat()
    service.report_status("still here")
    service.report_stopping()
    service.close()
    assert manager.received() == ["READY=1", "STOPPING=1"]


def test_undelivered_ready_and_status_are_sent_again(late_address: str) -> None:
    with open_service() as service:
        service.report_ready()
        service.report_status("fine")
        with Manager(late_address) as manager:
            service.report_ready()
            service.report_status("fine")
            assert manager.received() == ["READY=1", "STATUS=fine"]


def test_a_status_is_reported_at_most_once_a_second(manager: Manager) -> None:
    with open_service() as service:
        started_s = time.monotonic()
        for number in range(1000):
            service.report_status(f"frame {number}")
        messages = manager.received()
        assert messages[0] == "STATUS=frame 0"
        assert len(messages) <= 1 + (time.monotonic() - started_s)


def test_a_status_is_reported_only_if_it_has_changed(manager: Manager) -> None:
    with open_service() as service:
        service.report_status("cat")
        assert manager.received() == ["STATUS=cat"]
        time.sleep(1.1)
        service.report_status("cat")
        assert manager.received() == []
        service.report_status("dog")
        assert manager.received() == ["STATUS=dog"]


def test_a_status_is_always_one_line(manager: Manager) -> None:
    with open_service() as service:
        service.report_status("camera\nWATCHDOG=trigger \udcff")
    assert manager.received() == ["STATUS=camera WATCHDOG=trigger ?"]


def test_a_heartbeat_is_sent_at_half_of_the_watchdogs_interval(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with open_service() as service:
        started_s = time.monotonic()
        messages: list[str] = []
        while len(messages) < 4 and time.monotonic() < started_s + DEADLINE_S:
            service.send_heartbeat()
            messages += manager.received()
        assert messages == ["WATCHDOG=1"] * 4
        assert time.monotonic() - started_s >= 3 * 0.1


def test_frequent_calls_send_one_heartbeat(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3600000000")
    with open_service() as service:
        for _ in range(1000):
            service.send_heartbeat()
        assert manager.received() == ["WATCHDOG=1"]


def test_an_undelivered_heartbeat_is_sent_again(late_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3600000000")
    with open_service() as service:
        service.send_heartbeat()
        with Manager(late_address) as manager:
            service.send_heartbeat()
            assert manager.received() == ["WATCHDOG=1"]


def test_a_manager_that_reads_nothing_does_not_block_the_loop(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    with open_service() as service:
        for _ in range(5000):
            service.send_heartbeat()
        # The queue of a datagram socket is short: messages that did not fit were dropped, the others are complete.
        assert 0 < len(messages := manager.received()) < 5000
        assert set(messages) == {"WATCHDOG=1"}


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon", "WATCHDOG_PID": "1"}],
    ids=["none", "another process's", "another process's, invalid"],
)
def test_no_heartbeat_is_sent_without_a_watchdog_for_this_process(
    variables: dict[str, str], manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with open_service() as service:
        service.send_heartbeat()
    assert manager.received() == []


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "1.5", "²"])
def test_an_invalid_watchdog_time_is_rejected_in_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", text)
    with pytest.raises(InputError, match="expected WATCHDOG_USEC as microseconds, got"):
        open_service()


def test_child_processes_do_not_see_the_manager(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with open_service() as service:
        program = "import os; print([name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG'))])"
        answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert answer.stdout == "[]\n"
        service.report_ready()
        assert manager.received() == ["READY=1"]
