"""Status and log of the services on a device."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from edgecnn.core.progress import Log
from edgecnn.deploy.device_files import checked_name
from edgecnn.deploy.device_script import run_script
from edgecnn.deploy.masking import masked, printable
from edgecnn.deploy.service_options import options_from_line
from edgecnn.deploy.ssh import Connection


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A deployed service and its state."""

    name: str
    healthy: bool
    """The service runs and has given a result."""
    state: str
    """State in systemd's words, such as `active (running)`."""
    text: str
    """Status line that the service sends to systemd."""
    since: str | None
    """Start of its process by this machine's clock, in ISO 8601; None if it does not run."""
    restarts: int
    enabled: bool
    """The service starts with the device."""
    on_trial: bool
    """A deployment is in progress, or was killed on the device; after a restart `release` runs."""
    release: str | None
    """Release in use; None if no deployment has succeeded yet."""
    options: str
    """Options of the service, with passwords masked."""
    releases: tuple[dict[str, Any], ...]
    """Records of the releases that are kept, newest first."""


def status_of(connection: Connection, name: str | None = None) -> tuple[ServiceStatus, ...]:
    """Query the services of a device.

    Args:
        connection: Connection to the device.
        name: Name of one service; None for all that were deployed.

    Returns:
        The services in the order of their names.

    Raises:
        DeviceError: The service is not deployed.
        InputError: The name is invalid.
    """
    arguments = ["status", *([checked_name(name)] if name else [])]
    return parse_status(run_script(connection, arguments), time.time())


def parse_status(text: str, now_s: float) -> tuple[ServiceStatus, ...]:
    """Parse the output of `device.sh status`.

    Args:
        text: Lines of `key=value`, in which `service=` starts a new service.
        now_s: Current time in seconds since 1970.

    Returns:
        The services.
    """
    services: list[tuple[dict[str, str], list[str]]] = []
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "service":
            services.append(({}, []))
        if key == "record":
            services[-1][1].append(value)
        else:
            services[-1][0][key] = value
    return tuple(_service(values, records, now_s) for values, records in services)


def status_record(service: ServiceStatus) -> dict[str, Any]:
    """Return the JSON object that `edgecnn deploy status --json` prints for a service.

    Args:
        service: A service.

    Returns:
        Its fields.
    """
    return asdict(service)


def follow_log(connection: Connection, name: str, show: Log, *, lines: int, follow: bool) -> None:
    """Read the log of a service.

    Args:
        connection: Connection to the device.
        name: Name of the service.
        show: Called with each line, with passwords masked.
        lines: Number of past lines.
        follow: Continue with new lines until interrupted.

    Raises:
        DeviceError: The service is not deployed, or the connection was cut.
        InputError: The name is invalid.
    """
    arguments = ["logs", checked_name(name), str(lines), *(["follow"] if follow else [])]
    run_script(connection, arguments, show=lambda line: show(masked(line)))


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
