"""The `edgecnn deploy` command."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecnn.cli.console import print_json_lines, print_table, say
from edgecnn.cli.options.shared import Json
from edgecnn.core.errors import DeviceError, InputError, Interrupted, UnknownName
from edgecnn.deploy.device_files import DEFAULT_NAME, START_S

if TYPE_CHECKING:
    from edgecnn.core.progress import Log
    from edgecnn.deploy.fleet import Outcome, Work
    from edgecnn.deploy.ssh import Connection
    from edgecnn.deploy.target import Target

_MODEL = "MODEL"
_ACTIONS = ("status", "logs", "rollback", "remove")
_ALWAYS = {"what", "addresses", "inventory", "ssh_config", "name", "json"}
"""Parameters that every action accepts."""
_ACCEPTED_BY = {
    "profile": _MODEL,
    "options": _MODEL,
    "wheel": _MODEL,
    "version": _MODEL,
    "timeout": f"{_MODEL} rollback",
    "follow": "logs",
    "lines": "logs",
}
"""Actions that accept a parameter, separated by spaces."""
_DEVICES, _SERVICE, _EDGECNN, _LOGS = "Devices", "Service", "Version of edgecnn to install", "Logs"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(deploy)


def deploy(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="MODEL|ACTION", help="Model file (.tflite), or status, logs, rollback or remove.")
    ],
    addresses: Annotated[
        list[str] | None,
        typer.Argument(metavar="ADDRESS", help="Address, such as ssh://pi@door.local or ssh://pi@192.168.1.20:2222."),
    ] = None,
    *,
    inventory: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of devices: one table \\[devices.NAME] each, with address, profile and options.",
            rich_help_panel=_DEVICES,
        ),
    ] = None,
    ssh_config: Annotated[
        Path | None,
        typer.Option(help="Configuration file for ssh, instead of ~/.ssh/config.", rich_help_panel=_DEVICES),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help=f"Name of the service; {DEFAULT_NAME} if not given, except that status then shows all services.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Device profile, see edgecnn devices; detected from the board if not given.", rich_help_panel=_SERVICE
        ),
    ] = None,
    options: Annotated[
        str | None,
        typer.Option(
            help="Options of edgecnn run on the device, such as '--source 0 --smooth exponential'; - reads them from "
            "stdin, so that passwords do not show up in ps. If not given, those of the previous deployment, or on the "
            "first one those that suit the device.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    timeout: Annotated[
        int,
        typer.Option(
            help="Seconds within which the service must deliver its first result.",
            min=1,
            max=START_S,
            rich_help_panel=_SERVICE,
        ),
    ] = START_S,
    wheel: Annotated[
        Path | None,
        typer.Option(help="Wheel to install; the edgecnn of this machine if not given.", rich_help_panel=_EDGECNN),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version to install from the package index.", rich_help_panel=_EDGECNN)
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep showing new lines until Ctrl-C.", rich_help_panel=_LOGS)
    ] = False,
    lines: Annotated[int, typer.Option(help="Number of most recent lines to show.", min=0, rich_help_panel=_LOGS)] = 20,
    json: Json = False,
) -> None:
    """Deploy a model to devices over ssh as a service, which is rolled back if it delivers no result.

    edgecnn deploy MODEL ADDRESS installs the service; edgecnn deploy status, logs, rollback or remove ADDRESS manages
    the installed one. With --json, print one line per device.
    """
    from edgecnn.deploy.target import targets_from

    action = what if what in _ACTIONS else _MODEL
    _check_accepted(context, action)
    targets = targets_from(addresses or [], inventory, profile=profile, options=_from_stdin(options))
    fleet = _Fleet(targets, ssh_config, json)
    if action == "logs":
        _show_log(fleet, name or DEFAULT_NAME, lines=lines, follow=follow)
    elif action == "status":
        _show_status(fleet, name)
    elif action == "rollback":
        _roll_back(fleet, name or DEFAULT_NAME, timeout)
    elif action == "remove":
        _remove(fleet, name or DEFAULT_NAME)
    else:
        _deploy(fleet, name or DEFAULT_NAME, _model_file(what), timeout=timeout, wheel=wheel, version=version)


@dataclass(frozen=True, slots=True)
class _Fleet:
    """Devices that an action runs on, and how its results are printed."""

    targets: Sequence[Target]
    ssh_config: Path | None
    json: bool

    def log_of(self, target: Target) -> Log:
        """Return a log for a device, whose name precedes each line if several devices log at once."""
        return (lambda line: say(f"{target.label}: {line}")) if len(self.targets) > 1 else say

    def run(self, work: Work) -> Iterator[tuple[Target, dict[str, Any]]]:
        """Run `work` on all devices, and either print the results as JSON or yield them for printing.

        Raises `DeviceError` at the end if it failed on a device, which does not keep it from running on the others.
        """
        from edgecnn.deploy.fleet import run_on_each

        failed: list[Outcome] = []
        try:
            for outcome in run_on_each(self.targets, work, self.ssh_config):
                if self.json:
                    print_json_lines([_json_record(outcome)])
                if outcome.error:
                    failed.append(outcome)
                    if len(self.targets) > 1:
                        say(f"{outcome.target.label}: {outcome.error}")
                elif not self.json:
                    yield outcome.target, outcome.result
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted: a device completes or rolls back what it has begun; check with edgecnn deploy status"
            ) from None
        if failed and failed[0].error and len(self.targets) == 1:
            raise failed[0].error
        if failed:
            names = ", ".join(outcome.target.label for outcome in failed)
            raise DeviceError(f"{len(failed)} of {len(self.targets)} devices failed: {names}; see above")


def _check_accepted(context: typer.Context, action: str) -> None:
    """Raise `InputError` for an option that the action would ignore."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in _ALWAYS and action not in _ACCEPTED_BY[name].split() and source and source.name == "COMMANDLINE":
            accepted_by = _ACCEPTED_BY[name].replace(" ", " or ")
            raise InputError(f"--{name} goes with edgecnn deploy {accepted_by}, not with {action}; remove it")


def _from_stdin(options: str | None) -> str | None:
    return sys.stdin.readline().rstrip("\n") if options == "-" else options


def _model_file(what: str) -> Path:
    path = Path(what)
    if not path.suffix and not path.exists():
        raise UnknownName("action or model file", what, _ACTIONS)
    return path


def _deploy(fleet: _Fleet, name: str, model: Path, *, timeout: int, wheel: Path | None, version: str | None) -> None:
    from edgecnn.deploy.deployment import deploy as deploy_to
    from edgecnn.deploy.deployment import plan_deployment
    from edgecnn.deploy.package import package_to_install

    with package_to_install(wheel, version) as package:
        plan = plan_deployment(model, package, name, timeout)

        def work(target: Target, connection: Connection) -> dict[str, Any]:
            return deploy_to(target, plan, connection, fleet.log_of(target))

        for target, record in fleet.run(work):
            print(f"{target.label}: {name} runs {record['model']}, release {record['release']}")


def _roll_back(fleet: _Fleet, name: str, timeout: int) -> None:
    from edgecnn.deploy.deployment import roll_back

    def work(_: Target, connection: Connection) -> dict[str, Any]:
        return {"name": name, "release": roll_back(name, connection, timeout)}

    for target, record in fleet.run(work):
        print(f"{target.label}: {name} runs release {record['release']} again")


def _remove(fleet: _Fleet, name: str) -> None:
    from edgecnn.deploy.deployment import remove

    def work(_: Target, connection: Connection) -> dict[str, Any]:
        remove(name, connection)
        return {"name": name}

    for target, _record in fleet.run(work):
        print(f"{target.label}: {name} is removed")


def _show_status(fleet: _Fleet, name: str | None) -> None:
    from edgecnn.deploy.status import status_of, status_record

    def work(_: Target, connection: Connection) -> dict[str, Any]:
        return {"services": [status_record(service) for service in status_of(connection, name)]}

    columns = ("service", "state", "since", "release", "options", "kept")
    for target, record in fleet.run(work):
        if not record["services"]:
            print(f"{target.label}: nothing is deployed")
            continue
        print_table(target.label, columns, [_row(service) for service in record["services"]], texts=columns)


def _show_log(fleet: _Fleet, name: str, *, lines: int, follow: bool) -> None:
    from edgecnn.deploy.ssh import Connection
    from edgecnn.deploy.status import follow_log

    if len(fleet.targets) != 1:
        raise InputError(f"the log of one device can be shown, got {len(fleet.targets)} devices; name one")
    with Connection(fleet.targets[0].address, fleet.ssh_config) as connection:
        follow_log(connection, name, lambda line: print(line, flush=True), lines=lines, follow=follow)


def _json_record(outcome: Outcome) -> dict[str, Any]:
    target, result, error = outcome
    device = {"device": target.label, "address": str(target.address), "error": str(error) if error else None}
    return device | (result or {})


def _row(service: dict[str, Any]) -> tuple[str, ...]:
    return (
        service["name"],
        service["state"] + (f", {service['text']}" if service["text"] else "") + (", on trial" * service["on_trial"]),
        service["since"] or "-",
        service["release"] or "-",
        service["options"] or "-",
        "\n".join(f"{record['release']} {record['model']}" for record in service["releases"]) or "-",
    )
