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
from edgecnn.runtime.live.service import notify, open_service

DEADLINE_S = 30.0


class Manager(Closeable):
    """What systemd is to a service: the receiving end of its socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """The messages so far that were not asked for before."""
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
        # Set before it is deleted, so that what a test leaves is undone.
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
    """Where a manager is said to be and is not yet."""
    address = str(tmp_path / "late")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    return address


def test_a_message_reaches_the_manager(manager: Manager) -> None:
    notify("STATUS=two words ü")
    assert manager.heard() == ["STATUS=two words ü"]


def test_without_a_manager_nothing_happens() -> None:
    notify("READY=1")
    with open_service() as service:
        service.ready()
        service.status("fine")
        service.beat()
        service.stopping()


def test_a_manager_that_is_gone_or_unreachable_is_no_error(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_service() as service:
        manager.close()
        service.ready()
        service.status("fine")
        service.stopping()
        for address in (manager.address, "/" + "long" * 100, "vsock:2:1", "@"):
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            notify("READY=1")


def test_ready_is_said_once_and_stopping_at_the_end_and_nothing_after_it_is_closed(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    with open_service() as service:
        service.ready()
        service.ready()
        service.stopping()
    service.beat()
    service.status("still here")
    service.stopping()
    service.close()
    assert manager.heard() == ["READY=1", "STOPPING=1"]


def test_ready_and_the_status_are_said_again_where_nobody_heard_them(late_address: str) -> None:
    with open_service() as service:
        service.ready()
        service.status("fine")
        with Manager(late_address) as manager:
            service.ready()
            service.status("fine")
            assert manager.heard() == ["READY=1", "STATUS=fine"]


def test_a_status_is_said_once_a_second_at_most(manager: Manager) -> None:
    with open_service() as service:
        began_s = time.monotonic()
        for number in range(1000):
            service.status(f"frame {number}")
        heard = manager.heard()
        assert heard[0] == "STATUS=frame 0"
        assert len(heard) <= 1 + (time.monotonic() - began_s)


def test_a_status_is_said_when_it_has_changed(manager: Manager) -> None:
    with open_service() as service:
        service.status("cat")
        assert manager.heard() == ["STATUS=cat"]
        time.sleep(1.1)
        service.status("cat")
        assert manager.heard() == []
        service.status("dog")
        assert manager.heard() == ["STATUS=dog"]


def test_a_status_is_one_line_whatever_is_in_it(manager: Manager) -> None:
    with open_service() as service:
        service.status("camera\nWATCHDOG=trigger \udcff")
    assert manager.heard() == ["STATUS=camera WATCHDOG=trigger ?"]


def test_a_beat_is_sent_every_half_of_the_watchdogs_time(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with open_service() as service:
        began_s = time.monotonic()
        heard: list[str] = []
        while len(heard) < 4 and time.monotonic() < began_s + DEADLINE_S:
            service.beat()
            heard += manager.heard()
        assert heard == ["WATCHDOG=1"] * 4
        assert time.monotonic() - began_s >= 3 * 0.1


def test_beats_in_quick_succession_are_one(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3600000000")
    with open_service() as service:
        for _ in range(1000):
            service.beat()
        assert manager.heard() == ["WATCHDOG=1"]


def test_a_beat_that_nobody_could_take_is_tried_again(late_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3600000000")
    with open_service() as service:
        service.beat()
        with Manager(late_address) as manager:
            service.beat()
            assert manager.heard() == ["WATCHDOG=1"]


def test_a_manager_that_reads_nothing_does_not_hold_the_loop_up(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    with open_service() as service:
        for _ in range(5000):
            service.beat()
        # The queue of a datagram socket is short; what did not fit was dropped, and what did is whole.
        assert 0 < len(heard := manager.heard()) < 5000
        assert set(heard) == {"WATCHDOG=1"}


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon", "WATCHDOG_PID": "1"}],
    ids=["none", "another process's", "another process's, whatever it says"],
)
def test_there_is_no_beat_without_a_watchdog_of_ones_own(
    variables: dict[str, str], manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with open_service() as service:
        service.beat()
    assert manager.heard() == []


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "1.5", "²"])
def test_a_watchdog_time_that_is_none_is_refused_in_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", text)
    with pytest.raises(InputError, match="expected WATCHDOG_USEC as microseconds, got"):
        open_service()


def test_child_processes_know_nothing_of_the_manager(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with open_service() as service:
        program = "import os; print([name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG'))])"
        answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert answer.stdout == "[]\n"
        service.ready()
        assert manager.heard() == ["READY=1"]
