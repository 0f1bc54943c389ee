"""Unit files as the stand-in for `systemctl` reads them: only their settings, without sections and drop-ins."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

UNIT_FOLDERS = tuple(Path(root, "systemd/system") for root in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
BASE_ENVIRONMENT = Path("/etc/environment")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Refused(Exception):
    """The request cannot be fulfilled; `status` is the exit status of systemctl."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Unit(NamedTuple):
    """A unit file for one instance: every setting with all of its values, in order."""

    name: str
    path: Path
    settings: dict[str, list[str]]

    def all(self, setting: str) -> list[str]:
        """Return all values of a setting."""
        return self.settings.get(setting, [])

    def last(self, setting: str, default: str = "") -> str:
        """Return the last value of a setting, which is the effective one."""
        return self.settings.get(setting, [default])[-1]

    def seconds(self, setting: str, default: float) -> float:
        """Return a time span such as `5`, `500ms`, `1min 30s` or `infinity` in seconds."""
        text = self.last(setting, str(default))
        if text == "infinity":
            return float("inf")
        parts = re.findall(r"([\d.]+)\s*([a-z]*)", text)
        if not parts or any(unit not in _SECONDS for _, unit in parts):
            raise Refused(f"{self.path}: this stand-in does not support the time span {setting}={text}")
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def full_name(name: str) -> str:
    """Return the name with the suffix of a service, which is the default."""
    return name if name.endswith(".service") else f"{name}.service"


def read_unit(name: str) -> Unit:
    """Read a unit from its own file or from its template. Raise `Refused` if there is neither."""
    template = re.sub(r"@.*\.service$", "@.service", name)
    for folder in UNIT_FOLDERS:
        for path in (folder / name, folder / template):
            if path.is_file():
                return Unit(name, path, _settings(path.read_text(), name))
    raise Refused(f"Unit {name} not found.", 5)


def environment_of(unit: Unit) -> dict[str, str]:
    """Return the environment of the service. Raise `Refused` if an environment file is missing."""
    environment = {**_assignments(BASE_ENVIRONMENT), "PATH": PATH}
    for line in unit.all("Environment"):
        environment |= dict(assignment.split("=", 1) for assignment in shlex.split(line))
    for name in unit.all("EnvironmentFile"):
        try:
            environment |= _assignments(Path(name.removeprefix("-")))
        except OSError as error:
            if not name.startswith("-"):
                raise Refused(f"Failed to load environment file {name}: {error.strerror}") from None
    return environment


def command_of(unit: Unit, environment: dict[str, str]) -> list[str]:
    """Return the command line. `${NAME}` stays one argument; an argument `$NAME` is split at spaces."""
    if not unit.all("ExecStart"):
        raise Refused(f"Unit {unit.name} has no ExecStart= setting. Refusing.")
    argv: list[str] = []
    for argument in shlex.split(unit.last("ExecStart")):
        if re.fullmatch(r"\$\w+", argument):
            argv += environment.get(argument[1:], "").split()
        else:
            argv.append(re.sub(r"\$\{(\w+)\}", lambda match: environment.get(match[1], ""), argument))
    return argv


def _settings(text: str, name: str) -> dict[str, list[str]]:
    prefix = name.removesuffix(".service")
    template, _, instance = prefix.partition("@")
    specifiers = {"n": name, "N": prefix, "p": template, "i": instance, "%": "%"}
    settings: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        setting, equals, value = (part.strip() for part in line.partition("="))
        if setting.startswith(("#", ";")) or not equals:
            continue
        if value:
            expanded = re.sub(r"%(.)", lambda match: specifiers.get(match[1], match[0]), value)
            settings.setdefault(setting, []).append(expanded)
        else:
            settings.pop(setting, None)
    return settings


def _assignments(path: Path) -> dict[str, str]:
    assignments = {}
    for line in path.read_text().splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if equals and not name.startswith(("#", ";")):
            assignments[name] = value[1:-1] if value[:1] in ('"', "'") and value[-1:] == value[:1] else value
    return assignments
