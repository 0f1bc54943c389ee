"""The options of a device's service, and how systemd's files of settings hold them."""

from __future__ import annotations

import re
import shlex

from edgecnn.core.errors import InputError
from edgecnn.core.settings.device_profile import DeviceProfile

# What has a meaning between double quotes in systemd's files.
_SPECIAL = re.compile(r"([\\\"`$])")
_ESCAPED = re.compile(r"\\([\\\"`$])")


def checked_options(options: str) -> str:
    """`options` without spaces around, if they are words in one line. Raises `InputError`, without repeating them."""
    if not options.isprintable():
        raise InputError("expected the service's options in one line of printable characters")
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise InputError(f"the service's options are not whole words: {str(error).lower()}; close the quotes") from None
    if words and not words[0].startswith("-"):
        raise InputError("expected options of `edgecnn run` such as '--source 0 --threads 4', got something else first")
    return options.strip()


def profile_options(profile: DeviceProfile | None) -> str:
    """What suits a device of that kind, where nothing else is said."""
    if profile is None:
        return ""
    source = f"--source {shlex.quote(profile.source)} " if profile.source else ""
    delegate = f" --delegate {shlex.quote(profile.delegate)}" if profile.delegate else ""
    return f"{source}--threads {profile.threads}{delegate}"


def options_line(options: str) -> str:
    """The line of an EnvironmentFile that sets OPTIONS to `options`, as `checked_options` returns them.

    See systemd.exec(5). Without quotes around the value, only a backslash has a meaning there.
    """
    if "\\" in options:
        options = '"' + _SPECIAL.sub(r"\\\1", options) + '"'
    return f"OPTIONS={options}\n"


def options_from_line(value: str) -> str:
    """The options that `value`, what is behind `OPTIONS=`, stands for."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value
