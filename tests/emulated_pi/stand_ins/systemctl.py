#!/usr/bin/python3 -S
"""A stand-in for systemd's `systemctl` on a device without systemd, limited to the needs of a deploy tool.

It runs services of the types simple, exec and notify from their unit files, stores their output for the stand-in
`journalctl`, restarts those that fail, and starts the enabled ones when the device is switched on (`default`). It does
not support dependencies, sandboxing (such as ProtectSystem=), limits (MemoryMax=), drop-ins, the watchdog and user
services. It ignores unknown settings, as systemd does, and refuses unknown commands.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from supervisor import LOGS, POLL_S, STATES, read_state, supervise
from unit_file import Refused, Unit, full_name, read_unit

WANTED = Path("/etc/systemd/system/multi-user.target.wants")
RUNNING = ("active", "activating", "deactivating")


def start(unit: Unit) -> int:
    """Start a service and wait until it is up or has failed."""
    if read_state(unit.name)["ActiveState"] not in RUNNING:
        _fork_supervisor(unit)
    while True:
        state = read_state(unit.name)
        if state["ActiveState"] == "active":
            return 0
        if state["ActiveState"] in ("failed", "inactive") or state["SubState"] == "auto-restart":
            break
        time.sleep(POLL_S)
    if state["Result"] == "success":
        return 0
    raise Refused(f"Job for {unit.name} failed ({state['Result']}). See 'journalctl --unit {unit.name}'.")


def stop(unit: Unit) -> int:
    state = read_state(unit.name)
    if state["ActiveState"] in RUNNING:
        os.kill(state["SupervisorPID"], signal.SIGTERM)
    while read_state(unit.name)["ActiveState"] in RUNNING:
        time.sleep(POLL_S)
    return 0


def restart(unit: Unit) -> int:
    stop(unit)
    return start(unit)


def enable(unit: Unit) -> int:
    WANTED.mkdir(parents=True, exist_ok=True)
    link = WANTED / unit.name
    if not link.is_symlink():
        link.symlink_to(unit.path)
        print(f"Created symlink {link} → {unit.path}.", file=sys.stderr)
    return 0


def disable(unit: Unit) -> int:
    (WANTED / unit.name).unlink(missing_ok=True)
    return 0


def is_enabled(unit: Unit) -> int:
    print(_file_state(unit))
    return 0 if _file_state(unit) == "enabled" else 1


def status(unit: Unit) -> int:
    state = read_state(unit.name)
    print(f"● {unit.name} - {unit.last('Description', unit.name)}")
    print(f"     Loaded: loaded ({unit.path}; {_file_state(unit)})")
    print(f"     Active: {state['ActiveState']} ({state['SubState']}) Result: {state['Result']}")
    print(f"   Main PID: {state['MainPID']}")
    if state["StatusText"]:
        print(f'     Status: "{state["StatusText"]}"')
    log = LOGS / f"{unit.name}.log"
    for line in log.read_text(errors="replace").splitlines()[-10:] if log.exists() else []:
        print(line)
    return 0 if state["ActiveState"] == "active" else 3


def is_in_state(name: str, expected: str) -> int:
    """Print the state of a unit, which need not exist, and compare it."""
    state = str(read_state(name)["ActiveState"])
    print(state)
    return 0 if state == expected else 3


def show(name: str, properties: str, *, bare: bool) -> int:
    """Print properties, given as names separated by commas; all of them if there is none."""
    known = {"Id": name, **read_state(name), "LoadState": "loaded"}
    try:
        unit = read_unit(name)
        known |= {"FragmentPath": unit.path, "UnitFileState": _file_state(unit), "Type": unit.last("Type", "simple")}
    except Refused:
        known |= {"LoadState": "not-found"}
    for key in properties.split(",") if properties else known:
        if key in known:
            print(known[key] if bare else f"{key}={known[key]}")
    return 0


def start_enabled() -> int:
    for link in sorted(WANTED.glob("*.service")):
        _fork_supervisor(read_unit(link.name))
    return 0


WITHOUT_UNIT: dict[str, Callable[[], int]] = {"daemon-reload": lambda: 0, "default": start_enabled}
NEED_ROOT: dict[str, Callable[[Unit], int]] = {
    "start": start,
    "stop": stop,
    "restart": restart,
    "enable": enable,
    "disable": disable,
}
ANYONE: dict[str, Callable[[Unit], int]] = {"status": status, "is-enabled": is_enabled}
NOW: dict[str, Callable[[Unit], int]] = {"enable": start, "disable": stop}
"""Actions that `--now` adds to a command."""


def main(argv: list[str]) -> int:
    arguments = _parser().parse_intermixed_args(argv)
    command, names = arguments.command, [full_name(name) for name in arguments.names]
    if command in (*WITHOUT_UNIT, *NEED_ROOT) and os.getuid():
        raise Refused(f"{command}: interactive authentication required")
    if command in WITHOUT_UNIT:
        return WITHOUT_UNIT[command]()
    if not names:
        raise Refused(f"this stand-in does not support {command!r} without a unit")
    if command == "show":
        return max(show(name, ",".join(arguments.property), bare=arguments.value) for name in names)
    if command in ("is-active", "is-failed"):
        return max(is_in_state(name, command.removeprefix("is-")) for name in names)
    if command not in (NEED_ROOT | ANYONE):
        raise Refused(f"this stand-in does not support {command!r}")
    actions = [(NEED_ROOT | ANYONE)[command], *([NOW[command]] if arguments.now and command in NOW else [])]
    return max(action(unit) for action in actions for unit in map(read_unit, names))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="systemctl")
    parser.add_argument("command")
    parser.add_argument("names", nargs="*")
    parser.add_argument("-p", "--property", action="append", default=[])
    parser.add_argument("--value", action="store_true")
    parser.add_argument("--now", action="store_true")
    for option in ("--no-pager", "--quiet", "--full", "--system", "--no-ask-password"):
        parser.add_argument(option, action="store_true", help="has no effect here")
    return parser


def _file_state(unit: Unit) -> str:
    return "enabled" if (WANTED / unit.name).is_symlink() else "disabled"


def _fork_supervisor(unit: Unit) -> None:
    """Start a background process that runs the service, detached from the caller's terminal and pipes."""
    for folder in (STATES, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    # An old state would be mistaken for that of the new process.
    (STATES / f"{unit.name}.json").unlink(missing_ok=True)
    if child := os.fork():
        while not (STATES / f"{unit.name}.json").exists():
            if os.waitpid(child, os.WNOHANG)[0]:
                raise Refused(f"{unit.name} could not be started: see 'journalctl --unit {unit.name}'")
            time.sleep(POLL_S)
        return
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    try:
        supervise(unit)
    finally:
        os._exit(0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(refusal.status)
