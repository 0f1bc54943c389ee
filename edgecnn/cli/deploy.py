"""`edgecnn deploy`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecnn.cli.console import print_json_lines, print_table, say
from edgecnn.cli.options import Json
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
_GOES_WITH = {
    "profile": _MODEL,
    "options": _MODEL,
    "wheel": _MODEL,
    "version": _MODEL,
    "timeout": f"{_MODEL} rollback",
    "follow": "logs",
    "lines": "logs",
}
_DEVICES, _SERVICE, _EDGECNN, _LOGS = "Which devices", "What they run", "Which edgecnn they get", "logs"


def register(app: typer.Typer) -> None:
    """Adds this family's command."""
    app.command()(deploy)


def deploy(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="MODEL|ACTION", help="A .tflite file; or status, logs, rollback or remove.")
    ],
    addresses: Annotated[
        list[str] | None,
        typer.Argument(metavar="ADDRESS", help="Such as ssh://pi@door.local or ssh://pi@192.168.1.20:2222."),
    ] = None,
    inventory: Annotated[
        Path | None,
        typer.Option(
            help="Devices in TOML: a table \\[devices.NAME] for each, with address, profile, options.",
            rich_help_panel=_DEVICES,
        ),
    ] = None,
    ssh_config: Annotated[
        Path | None, typer.Option(help="Settings for ssh, in place of ~/.ssh/config.", rich_help_panel=_DEVICES)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help=f"Of the service; {DEFAULT_NAME} if not given, but status shows all then.", rich_help_panel=_SERVICE
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Kind of device, see edgecnn devices; that of its board if not given.", rich_help_panel=_SERVICE
        ),
    ] = None,
    options: Annotated[
        str | None,
        typer.Option(
            help="What edgecnn run is told there, such as '--source 0 --smooth exponential'; - reads it from stdin, as "
            "ps should not show passwords. As before if not given; the first time, what suits the device.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    timeout: Annotated[
        int,
        typer.Option(
            help="Seconds that the service has for its first result.", min=1, max=START_S, rich_help_panel=_SERVICE
        ),
    ] = START_S,
    wheel: Annotated[
        Path | None, typer.Option(help="This wheel; the edgecnn in use here if not given.", rich_help_panel=_EDGECNN)
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="This version, from the package index.", rich_help_panel=_EDGECNN)
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stay, and show what comes.", rich_help_panel=_LOGS)
    ] = False,
    lines: Annotated[int, typer.Option(help="How many of the last lines to show.", min=0, rich_help_panel=_LOGS)] = 20,
    json: Json = False,
) -> None:
    """Make devices run a model over ssh, as a service that is taken back if it gives no result.

    edgecnn deploy MODEL ADDRESS puts it there; edgecnn deploy status, logs, rollback or remove ADDRESS sees to
    what is there. With --json a line for each device.
    """
    from edgecnn.deploy.target import targets_from

    action = what if what in _ACTIONS else _MODEL
    _check_given(context, action)
    targets = targets_from(addresses or [], inventory, profile=profile, options=_from_stdin(options))
    if action == "logs":
        _show_log(targets, name or DEFAULT_NAME, ssh_config, lines=lines, follow=follow)
    elif action == "status":
        _show_status(targets, name, ssh_config, json=json)
    elif action == "rollback":
        _roll_back(targets, name or DEFAULT_NAME, timeout, ssh_config, json=json)
    elif action == "remove":
        _remove(targets, name or DEFAULT_NAME, ssh_config, json=json)
    else:
        _deploy(_model_file(what), targets, name or DEFAULT_NAME, timeout, wheel, version, ssh_config, json=json)


def _check_given(context: typer.Context, action: str) -> None:
    """An option that the action would not heed is an error."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in _ALWAYS and action not in _GOES_WITH[name].split() and source and source.name == "COMMANDLINE":
            goes_with = _GOES_WITH[name].replace(" ", " or ")
            raise InputError(f"--{name} goes with edgecnn deploy {goes_with}, not with {action}; leave it away")


def _from_stdin(options: str | None) -> str | None:
    return sys.stdin.readline().rstrip("\n") if options == "-" else options


def _model_file(what: str) -> Path:
    path = Path(what)
    if not path.suffix and not path.exists():
        raise UnknownName("action or model file", what, _ACTIONS)
    return path


def _deploy(
    model: Path,
    targets: Sequence[Target],
    name: str,
    timeout: int,
    wheel: Path | None,
    version: str | None,
    config: Path | None,
    *,
    json: bool,
) -> None:
    from edgecnn.deploy.deployment import deploy as deploy_on
    from edgecnn.deploy.deployment import plan_deployment
    from edgecnn.deploy.package import package_to_install

    with package_to_install(wheel, version) as package:
        plan = plan_deployment(model, package, name, timeout)

        def work(target: Target, connection: Connection) -> dict[str, Any]:
            return deploy_on(target, plan, connection, _talk(target, targets))

        for target, record in _done(targets, work, config, json=json):
            print(f"{target.label}: {name} runs {record['model']}, release {record['release']}")


def _roll_back(targets: Sequence[Target], name: str, timeout: int, config: Path | None, *, json: bool) -> None:
    from edgecnn.deploy.deployment import roll_back

    def work(_: Target, connection: Connection) -> dict[str, Any]:
        return {"name": name, "release": roll_back(name, connection, timeout)}

    for target, record in _done(targets, work, config, json=json):
        print(f"{target.label}: {name} runs release {record['release']} again")


def _remove(targets: Sequence[Target], name: str, config: Path | None, *, json: bool) -> None:
    from edgecnn.deploy.deployment import remove

    def work(_: Target, connection: Connection) -> dict[str, Any]:
        remove(name, connection)
        return {"name": name}

    for target, _record in _done(targets, work, config, json=json):
        print(f"{target.label}: {name} is removed")


def _show_status(targets: Sequence[Target], name: str | None, config: Path | None, *, json: bool) -> None:
    from edgecnn.deploy.status import status_of, status_record

    def work(_: Target, connection: Connection) -> dict[str, Any]:
        return {"services": [status_record(service) for service in status_of(connection, name)]}

    columns = ("service", "state", "since", "release", "options", "kept")
    for target, record in _done(targets, work, config, json=json):
        if not record["services"]:
            print(f"{target.label}: nothing is deployed")
            continue
        print_table(target.label, columns, [_row(service) for service in record["services"]], texts=columns)


def _show_log(targets: Sequence[Target], name: str, config: Path | None, *, lines: int, follow: bool) -> None:
    from edgecnn.deploy.ssh import Connection
    from edgecnn.deploy.status import follow_log

    if len(targets) != 1:
        raise InputError(f"expected one device to show the log of, got {len(targets)}")
    with Connection(targets[0].address, config) as connection:
        follow_log(connection, name, lambda line: print(line, flush=True), lines=lines, follow=follow)


def _done(
    targets: Sequence[Target], work: Work, config: Path | None, *, json: bool
) -> Iterator[tuple[Target, dict[str, Any]]]:
    """Does `work` on all devices, prints JSON if that is wanted, and yields what is left to be printed if not.

    Raises `DeviceError` at the end if it failed on one; the others are done nevertheless.
    """
    from edgecnn.deploy.fleet import run_on_each

    failed: list[Outcome] = []
    try:
        for outcome in run_on_each(targets, work, config):
            if json:
                print_json_lines([_json_record(outcome)])
            if outcome.error:
                failed.append(outcome)
                if len(targets) > 1:
                    say(f"{outcome.target.label}: {outcome.error}")
            elif not json:
                yield outcome.target, outcome.result
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted: what was begun on a device it finishes or takes back itself; look with edgecnn deploy status"
        ) from None
    if failed and failed[0].error and len(targets) == 1:
        raise failed[0].error
    if failed:
        names = ", ".join(outcome.target.label for outcome in failed)
        raise DeviceError(f"{len(failed)} of {len(targets)} devices failed: {names}; see above")


def _json_record(outcome: Outcome) -> dict[str, Any]:
    target, result, error = outcome
    device = {"device": target.label, "address": str(target.address), "error": str(error) if error else None}
    return device | (result or {})


def _talk(target: Target, targets: Sequence[Target]) -> Log:
    """Several devices talk at once."""
    return (lambda line: say(f"{target.label}: {line}")) if len(targets) > 1 else say


def _row(service: dict[str, Any]) -> tuple[str, ...]:
    return (
        service["name"],
        service["state"] + (f", {service['text']}" if service["text"] else "") + (", on trial" * service["on_trial"]),
        service["since"] or "-",
        service["release"] or "-",
        service["options"] or "-",
        "\n".join(f"{record['release']} {record['model']}" for record in service["releases"]) or "-",
    )
