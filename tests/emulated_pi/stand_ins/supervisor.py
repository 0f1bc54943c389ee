"""The background half of the stand-in for systemd: it owns one service's process until the service is stopped.

The state of a service, under the names of systemd's properties, is a JSON file in /run/units. The output of a service
is stored in /var/log/units. SIGTERM ends the supervisor.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from unit_file import Refused, Unit, command_of, environment_of

STATES, LOGS = Path("/run/units"), Path("/var/log/units")
POLL_S = 0.1

_NEVER_RAN: dict[str, Any] = {
    "ActiveState": "inactive",
    "SubState": "dead",
    "Result": "success",
    "MainPID": 0,
    "ExecMainStatus": 0,
    "NRestarts": 0,
    "StatusText": "",
}
_DYNAMIC_USER = 61184
_TIMEOUT_S = 90.0
_YES = ("1", "yes", "true", "on")


def read_state(name: str) -> dict[str, Any]:
    """Return the state of a service; that of a service that never ran if none is stored."""
    path = STATES / f"{name}.json"
    return _NEVER_RAN | (json.loads(path.read_text()) if path.exists() else {})


def supervise(unit: Unit) -> None:
    """Run the service of a unit, and restart it as its settings specify, until it ends for good or SIGTERM arrives."""
    supervisor = _Supervisor(unit)
    signal.signal(signal.SIGTERM, supervisor.stop)
    supervisor.run()


class _Supervisor:
    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._is_stopping = False
        self._state = _NEVER_RAN | {"SupervisorPID": os.getpid()}

    def stop(self, *_: object) -> None:
        self._is_stopping = True

    def run(self) -> None:
        while True:
            result = self._run_once()
            if self._is_stopping or not _runs_again(self._unit, result):
                break
            self._record("activating", "auto-restart", Result=result, MainPID=0)
            wait_until_s = time.monotonic() + self._unit.seconds("RestartSec", 0.1)
            while time.monotonic() < wait_until_s and not self._is_stopping:
                time.sleep(POLL_S)
            self._state["NRestarts"] += 1
        ended_well = result == "success"
        self._record(*("inactive", "dead") if ended_well else ("failed", "failed"), Result=result, MainPID=0)

    def _run_once(self) -> str:
        """Run the process once, and return its result in systemd's terms."""
        address = STATES / f"{self._unit.name}.notify"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.bind(str(address))
            address.chmod(0o666)
            notices.settimeout(POLL_S)
            try:
                process = _launch(self._unit, address)
            except (Refused, OSError, LookupError) as error:
                with open(LOGS / f"{self._unit.name}.log", "a") as log:
                    print(f"{self._unit.name}: {error}", file=log)
                self._state["ExecMainStatus"] = 203
                return "resources" if isinstance(error, Refused) else "exit-code"
            return self._watch(process, notices)

    def _watch(self, process: subprocess.Popen[bytes], notices: socket.socket) -> str:
        unit, started_s = self._unit, time.monotonic()
        is_ready, asked_s, timed_out = unit.last("Type") != "notify", None, False
        self._record(*("active", "running") if is_ready else ("activating", "start"), MainPID=process.pid)
        while process.poll() is None:
            now_s = time.monotonic()
            for line in _receive(notices):
                name, _, value = line.partition("=")
                if name == "READY" and not is_ready:
                    is_ready = True
                    self._record("active", "running")
                elif name == "STATUS":
                    self._record(StatusText=value)
            timed_out |= not is_ready and now_s - started_s > unit.seconds("TimeoutStartSec", _TIMEOUT_S)
            if (self._is_stopping or timed_out) and asked_s is None:
                asked_s = now_s
                self._record("deactivating", "stop-sigterm")
                _signal_all(process, signal.SIGTERM)
            if asked_s is not None and now_s - asked_s > unit.seconds("TimeoutStopSec", _TIMEOUT_S):
                timed_out = True
                _signal_all(process, signal.SIGKILL)
        # Its child processes end with it, as systemd's control group ensures.
        _signal_all(process, signal.SIGKILL)
        self._state["ExecMainStatus"] = abs(process.returncode)
        if timed_out:
            return "timeout"
        if process.returncode == 0:
            return "success" if is_ready else "protocol"
        if process.returncode > 0:
            return "exit-code"
        return "success" if self._is_stopping and process.returncode == -signal.SIGTERM else "signal"

    def _record(self, active: str = "", sub: str = "", **properties: Any) -> None:
        if active:
            properties |= {"ActiveState": active, "SubState": sub}
        self._state |= properties
        temporary = STATES / f".{self._unit.name}.json"
        temporary.write_text(json.dumps(self._state))
        temporary.rename(STATES / f"{self._unit.name}.json")


def _launch(unit: Unit, address: Path) -> subprocess.Popen[bytes]:
    if (kind := unit.last("Type", "simple")) not in ("simple", "exec", "notify"):
        raise Refused(f"this stand-in does not support Type={kind}")
    environment = environment_of(unit)
    if unit.last("Type") == "notify":
        environment["NOTIFY_SOCKET"] = str(address)
    user = group = _DYNAMIC_USER
    if unit.last("DynamicUser") not in _YES:
        account = pwd.getpwnam(unit.last("User", "root"))
        user, group = account.pw_uid, account.pw_gid
        environment |= {"USER": account.pw_name, "HOME": account.pw_dir}
    with open(LOGS / f"{unit.name}.log", "ab") as log:
        return subprocess.Popen(
            command_of(unit, environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=unit.last("WorkingDirectory", "/"),
            user=user,
            group=group,
            extra_groups=" ".join(unit.all("SupplementaryGroups")).split(),
            start_new_session=True,
        )


def _runs_again(unit: Unit, result: str) -> bool:
    policy = unit.last("Restart", "no")
    return policy == "always" or (policy == "on-failure" and result != "success")


def _receive(notices: socket.socket) -> list[str]:
    try:
        return notices.recv(4096).decode(errors="replace").splitlines()
    except TimeoutError:
        return []


def _signal_all(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
