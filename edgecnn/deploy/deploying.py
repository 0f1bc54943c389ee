"""Putting a model on a device: what this side does. What the device does is in device.sh."""

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
from edgecnn.deploy.archive import CHECKSUMS, Files, checksums, pieces_of, write_archive
from edgecnn.deploy.examining import Facts, examine, profile_for
from edgecnn.deploy.layout import DEFAULT_NAME, START_S, checked_name, install_script, unit_file
from edgecnn.deploy.package import Package
from edgecnn.deploy.script import run_script
from edgecnn.deploy.service_options import options_line, profile_options
from edgecnn.deploy.ssh import Connection
from edgecnn.deploy.target import Target

RECORD_VERSION = 1

_RECEIVE_S, _SLOWEST_BYTES_PER_S = 60, 50_000
# The device keeps three releases, and needs a little for everything else.
_SPARE_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What all the devices get."""

    model: Path
    sha256: str
    package: Package
    name: str = DEFAULT_NAME
    """Of the service: edgecnn@NAME."""
    start_s: int = START_S


def plan_deployment(model: Path, package: Package, name: str = DEFAULT_NAME, start_s: int = START_S) -> Plan:
    """Checks what can be checked here. Raises `InputError`, `ModelFileError` for a file that no device could use."""
    read_model_file(model)
    return Plan(model, sha256_of(model), package, checked_name(name), start_s)


def deploy(target: Target, plan: Plan, connection: Connection, log: Log) -> dict[str, Any]:
    """Makes the service `plan.name` of a device run the plan's model, and returns the record of its new release.

    Either the service runs it when this returns, or what ran before runs still: a release that gives no result is
    taken back by the device. Raises `DeviceError` with the reason then.
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
        **_what_installs(plan.package, facts),
    }
    # Of what is sent, whatever has become of the file since it was looked at.
    sums = checksums(files)
    if not sums.startswith(plan.sha256.encode()):
        raise DeviceError(f"{plan.model} has changed since the deployment began: begin again")
    # In memory: a file here must not have the options, in which there may be a password.
    archive = io.BytesIO()
    write_archive(archive, {**files, CHECKSUMS: sums})
    size_bytes = archive.tell()
    archive.seek(0)
    words = (
        *("deploy", plan.name, release, plan.start_s, _RECEIVE_S + size_bytes // _SLOWEST_BYTES_PER_S),
        *(size_bytes + _SPARE_BYTES, "keep" if target.options is None else "replace"),
        *([plan.package.version] if plan.package.version else []),
    )
    log(f"sending {size_bytes / 1e6:.1f} MB")
    run_script(connection, words, pieces_of(archive), log=log)
    return record


def roll_back(name: str, connection: Connection, start_s: int = START_S) -> str:
    """Makes a service run the release before the one in use, and returns that. Raises `DeviceError`."""
    answer = run_script(connection, ["rollback", checked_name(name), start_s])
    return answer.strip().removeprefix("release=")


def remove(name: str, connection: Connection) -> None:
    """Ends a service and deletes what was deployed for it; edgecnn itself stays. Raises `DeviceError`."""
    run_script(connection, ["remove", checked_name(name)])


def _record(release: str, plan: Plan, profile: str | None) -> dict[str, Any]:
    """What the device keeps beside the model; nothing of the options."""
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


def _what_installs(package: Package, facts: Facts) -> Files:
    """install.sh finds out by itself that a wheel is installed already; for a version it would ask the index."""
    if package.wheel:
        return {"install/install.sh": install_script(), f"install/{package.wheel.name}": package.wheel}
    return {} if package.version == facts.edgecnn else {"install/install.sh": install_script()}
