"""The `edgecnn doctor` and `edgecnn devices` commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from edgecnn.cli.console import print_json, print_json_lines, print_table
from edgecnn.cli.options.shared import Json
from edgecnn.core.errors import EdgecnnError

if TYPE_CHECKING:
    from edgecnn.core.settings.device_profile import DeviceProfile


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(doctor)
    app.command()(devices)


def doctor(json: Json = False) -> None:
    """Check this device: software, cameras, power, temperature, memory; exit with 1 if there is a problem."""
    from edgecnn.doctor.checkup import checkup_record, examine, problems_of

    findings = examine()
    if json:
        print_json(checkup_record(findings))
    else:
        rows = [(finding.check, finding.status, finding.found, finding.fix) for finding in findings]
        columns = ("check", "status", "found", "what to do")
        print_table("doctor", columns, rows, texts=columns)
    if problems := problems_of(findings):
        names = ", ".join(finding.check for finding in problems)
        found = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found"
        raise EdgecnnError(f'{found}: {names}; see the "what to do" column')


def devices(json: Json = False) -> None:
    """List the device profiles: hardware, default settings and published latencies of each board."""
    from edgecnn.core.settings.device_profile import read_profiles

    profiles = read_profiles()
    if json:
        print_json_lines(profile.model_dump(mode="json") for profile in profiles)
    else:
        columns = ("name", "processor", "memory", "threads", "camera", "published elsewhere")
        rows = [_row(profile) for profile in profiles]
        print_table("devices", columns, rows, texts=("processor", "memory", "camera", "published elsewhere"))


def _row(profile: DeviceProfile) -> tuple[str, ...]:
    published = [
        f"{latency.model}{f' {latency.precision}' if latency.precision else ''}: {latency.latency_ms:g} ms"
        for latency in profile.published
    ]
    return (
        profile.name,
        profile.processor,
        ", ".join(f"{size_mb / 1024:g}" for size_mb in profile.memory_mb) + " GB",
        str(profile.threads),
        profile.source or "-",
        "\n".join(published) or "-",
    )
