"""What runs on a device."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from edgecnn.core.progress import Log
from edgecnn.deploy.layout import checked_name
from edgecnn.deploy.masking import masked, printable
from edgecnn.deploy.script import run_script
from edgecnn.deploy.service_options import options_from_line
from edgecnn.deploy.ssh import Connection


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service that was deployed, and how it is."""

    name: str
    healthy: bool
    """It runs and has given a result."""
    state: str
    """As systemd has it, such as `active (running)`."""
    text: str
    """What the service says of itself."""
    since: str | None
    """When its process started, by this machine's clock."""
    restarts: int
    enabled: bool
    """It starts with the device."""
    on_trial: bool
    """A deployment is at work, or was killed on the device; after a restart `release` runs."""
    release: str | None
    """The one in use; None if the first deployment never got so far."""
    options: str
    """With passwords replaced."""
    releases: tuple[dict[str, Any], ...]
    """The records of those that are kept, newest first."""


def status_of(connection: Connection, name: str | None = None) -> tuple[ServiceStatus, ...]:
    """The service of that name, or all that were deployed, by name. Raises `DeviceError` if it is not there."""
    words = ["status", *([checked_name(name)] if name else [])]
    return parse_status(run_script(connection, words), time.time())


def parse_status(text: str, now_s: float) -> tuple[ServiceStatus, ...]:
    """What device.sh says, `key=value` lines in which `service=` begins each; `now_s` in seconds since 1970."""
    found: list[tuple[dict[str, str], list[str]]] = []
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "service":
            found.append(({}, []))
        if key == "record":
            found[-1][1].append(value)
        else:
            found[-1][0][key] = value
    return tuple(_service(values, records, now_s) for values, records in found)


def status_record(service: ServiceStatus) -> dict[str, Any]:
    """As `edgecnn deploy status --json` prints it."""
    return asdict(service)


def follow_log(connection: Connection, name: str, show: Log, *, lines: int, follow: bool) -> None:
    """Gives `show` the last lines of a service's log, and with `follow` those to come. Raises `DeviceError`."""
    words = ["logs", checked_name(name), str(lines), *(["follow"] if follow else [])]
    run_script(connection, words, show=lambda line: show(masked(line)))


def _service(values: dict[str, str], records: list[str], now_s: float) -> ServiceStatus:
    releases = sorted((json.loads(record) for record in records), key=lambda record: record["release"], reverse=True)
    running_s = values["running_s"]
    since = datetime.fromtimestamp(now_s - int(running_s), UTC).isoformat(timespec="seconds") if running_s else None
    state = values.get("ActiveState", "unknown")
    return ServiceStatus(
        name=values["service"],
        healthy=state == "active",
        state=f"{state} ({values.get('SubState', 'unknown')})",
        text=printable(values.get("StatusText", "")),
        since=since,
        restarts=int(values.get("NRestarts") or 0),
        enabled=values.get("UnitFileState") == "enabled",
        on_trial="trial" in values,
        release=values["current"] or None,
        options=masked(options_from_line(values.get("options", ""))),
        releases=tuple(releases),
    )
