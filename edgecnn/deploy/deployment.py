"""Deployment of a model to a device: the part of this machine. The part of the device is in device.sh."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgecnn.core.errors import DeviceError
from edgecnn.core.model_file.model_file import read_model_file, sha256_of
from edgecnn.core.progress import Log
from edgecnn.deploy.archive import CHECKSUMS, Files, checksums, chunks_of, write_archive
from edgecnn.deploy.device_facts import Facts, examine, profile_for
from edgecnn.deploy.device_files import DEFAULT_NAME, START_S, checked_name, install_script, unit_file
from edgecnn.deploy.device_script import run_script
from edgecnn.deploy.package import Package
from edgecnn.deploy.service_options import options_line, profile_options
from edgecnn.deploy.ssh import Connection
from edgecnn.deploy.target import Target

RECORD_VERSION = 1
"""Format version of the record that the device keeps beside a model."""

_RECEIVE_S, _SLOWEST_BYTES_PER_S = 60, 50_000
"""Time limit for the transfer: a constant, plus the size at the slowest speed that is accepted."""
_SPARE_BYTES = 8_000_000
"""Free space that the device needs beyond the files that are sent."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment that is the same for all devices."""

    model: Path
    sha256: str
    """Hex digest of the model file."""
    package: Package
    """The edgecnn to install."""
    name: str = DEFAULT_NAME
    """Name of the service: edgecnn@NAME."""
    start_s: int = START_S
    """Seconds that the service may take until its first result."""


def plan_deployment(model: Path, package: Package, name: str = DEFAULT_NAME, start_s: int = START_S) -> Plan:
    """Check everything that can be checked on this machine, and return the plan.

    Args:
        model: Model file to deploy.
        package: The edgecnn to install.
        name: Name of the service.
        start_s: Seconds that the service may take until its first result.

    Returns:
        The plan.

    Raises:
        InputError: The name is invalid.
        ModelFileError: No device can use the file.
    """
    read_model_file(model)
    return Plan(model, sha256_of(model), package, checked_name(name), start_s)


def deploy(target: Target, plan: Plan, connection: Connection, log: Log) -> dict[str, Any]:
    """Make a service on a device run the plan's model.

    The device reverts a release that gives no result. So either the service runs the new release when this returns, or
    it still runs the previous one and this raises an error.

    Args:
        target: The device.
        plan: The deployment.
        connection: Connection to the device.
        log: Called with each line about the progress.

    Returns:
        The record of the new release.

    Raises:
        DeviceError: The deployment failed; the message says why.
    """
    facts = examine(connection)
    profile = profile_for(facts, target.profile, connection)
    log(f"{facts.board or facts.machine}, edgecnn {facts.edgecnn or 'not installed yet'}")
    release = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{plan.sha256[:12]}"
    record = _record(release, plan, profile.name if profile else None)
    options = profile_options(profile) if target.options is None else target.options
    files: Files = {
        "model.tflite": plan.model.read_bytes(),
        "record.json": json.dumps(record).encode(),
        "options": options_line(options).encode(),
        "unit": unit_file(),
        **_installation_files(plan.package, facts),
    }
    # Computed from the content that is sent: the model file may have changed since it was checked.
    sums = checksums(files)
    if not sums.startswith(plan.sha256.encode()):
        raise DeviceError(f"{plan.model} has changed since the deployment began: start again")
    # In memory, since the options may contain a password, which must not be written to a file on this machine.
    archive = io.BytesIO()
    write_archive(archive, {**files, CHECKSUMS: sums})
    size_bytes = archive.tell()
    archive.seek(0)
    arguments = (
        *("deploy", plan.name, release, plan.start_s, _RECEIVE_S + size_bytes // _SLOWEST_BYTES_PER_S),
        *(size_bytes + _SPARE_BYTES, "keep" if target.options is None else "replace"),
        *([plan.package.version] if plan.package.version else []),
    )
    log(f"sending {size_bytes / 1e6:.1f} MB")
    run_script(connection, arguments, chunks_of(archive), log=log)
    return record


def roll_back(name: str, connection: Connection, start_s: int = START_S) -> str:
    """Make a service run the previous release again.

    Args:
        name: Name of the service.
        connection: Connection to the device.
        start_s: Seconds that the service may take until its first result.

    Returns:
        The release that runs now.

    Raises:
        DeviceError: There is no previous release, or it does not start.
        InputError: The name is invalid.
    """
    answer = run_script(connection, ["rollback", checked_name(name), start_s])
    return answer.strip().removeprefix("release=")


def remove(name: str, connection: Connection) -> None:
    """Stop a service and delete everything that was deployed for it; edgecnn itself stays installed.

    Args:
        name: Name of the service.
        connection: Connection to the device.

    Raises:
        DeviceError: The service is not deployed on the device.
        InputError: The name is invalid.
    """
    run_script(connection, ["remove", checked_name(name)])


def _record(release: str, plan: Plan, profile: str | None) -> dict[str, Any]:
    """Return the record that the device keeps beside the model; it contains none of the options."""
    return {
        "format_version": RECORD_VERSION,
        "name": plan.name,
        "release": release,
        "model": plan.model.name,
        "sha256": plan.sha256,
        "profile": profile,
        "deployed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "edgecnn": version("edgecnn"),
    }


def _installation_files(package: Package, facts: Facts) -> Files:
    """Return the files that install the package; none if this version is already installed.

    install.sh detects that a wheel is already installed, but would query the package index for a version.
    """
    if package.wheel:
        return {"install/install.sh": install_script(), f"install/{package.wheel.name}": package.wheel}
    return {} if package.version == facts.edgecnn else {"install/install.sh": install_script()}
