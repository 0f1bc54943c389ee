"""Options of a device's service, and their syntax in systemd's environment files."""

from __future__ import annotations

import re
import shlex

from edgecnn.core.errors import InputError
from edgecnn.core.settings.device_profile import DeviceProfile

# Characters with a special meaning between double quotes in systemd's files.
_SPECIAL = re.compile(r"([\\\"`$])")
_ESCAPED = re.compile(r"\\([\\\"`$])")


def checked_options(options: str) -> str:
    """Check the options of a service.

    Args:
        options: Options of `edgecnn run`, quoted as in a shell.

    Returns:
        The options without surrounding spaces.

    Raises:
        InputError: The options are invalid. The message does not repeat them, since they may contain a password.
    """
    if not options.isprintable():
        raise InputError("expected the service's options in one line of printable characters")
    try:
        arguments = shlex.split(options)
    except ValueError as error:
        raise InputError(f"the service's options are invalid: {str(error).lower()}; close the quotes") from None
    if arguments and not arguments[0].startswith("-"):
        raise InputError(
            "expected options of `edgecnn run` such as '--source 0 --threads 4', but the first is not an option"
        )
    return options.strip()


def profile_options(profile: DeviceProfile | None) -> str:
    """Return the default options for a kind of device.

    Args:
        profile: Profile of the device; None if unknown.

    Returns:
        Options of `edgecnn run`; empty without a profile.
    """
    if profile is None:
        return ""
    source = f"--source {shlex.quote(profile.source)} " if profile.source else ""
    delegate = f" --delegate {shlex.quote(profile.delegate)}" if profile.delegate else ""
    return f"{source}--threads {profile.threads}{delegate}"


def options_line(options: str) -> str:
    """Return the line of an EnvironmentFile that sets OPTIONS.

    See systemd.exec(5): without quotes around the value, only a backslash has a special meaning.

    Args:
        options: Options as `checked_options` returns them.

    Returns:
        The line, with a newline.
    """
    if "\\" in options:
        options = '"' + _SPECIAL.sub(r"\\\1", options) + '"'
    return f"OPTIONS={options}\n"


def options_from_line(value: str) -> str:
    """Parse the value of OPTIONS in an EnvironmentFile.

    Args:
        value: Text after `OPTIONS=` in the line.

    Returns:
        The options.
    """
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value
