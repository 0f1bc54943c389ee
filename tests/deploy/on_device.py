"""Helpers that run `edgecnn deploy` on the small device and look at the result there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

from tests.cli.commands import Outcome, run_here
from tests.deploy.small_device import ADDRESS, SmallDevice
from tests.emulated_pi.device import Device

FRAMES = "--source pattern:64x64@10"
"""Options with which a service works."""
SILENT = "/run/silent"
"""A FIFO that nobody writes to, so that a service waits for its first picture forever."""

Replace = Callable[[str], None]
"""A function that replaces the device's edgecnn by a shell script."""

# The version that is already on the device, so that nothing is installed.
_EDGECNN = ("--version", version("edgecnn"))
_PATIENCE_S = 90.0


def deploy(device: SmallDevice, model: Path, name: str, options: str | None = FRAMES, *more: object) -> Outcome:
    """Deploy in this process."""
    return run_here(*_deploy_arguments(device, model, name, options), *more)


def start_deploying(
    device: SmallDevice, model: Path, name: str, options: str, *more: object, stdin: IO[str] | None = None
) -> Popen[str]:
    """Start a deployment in a separate process."""
    arguments = map(str, (*_deploy_arguments(device, model, name, options), *more))
    command = [sys.executable, "-m", "edgecnn", *arguments]
    return Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def deployed(device: SmallDevice, model: Path, name: str, options: str | None = FRAMES) -> str:
    """Deploy, which must succeed, and return the release."""
    outcome = deploy(device, model, name, options, "--json")
    assert outcome.status == 0, outcome.stderr
    return str(json.loads(outcome.stdout)["release"])


def act(device: Device, action: str, *arguments: object) -> Outcome:
    """Run another action of `edgecnn deploy`."""
    return run_here("deploy", action, ADDRESS, "--ssh-config", device.ssh_config, *arguments)


def status(device: Device, name: str) -> dict[str, Any]:
    """Return the status of a service."""
    outcome = act(device, "status", "--name", name, "--json")
    assert outcome.status == 0, outcome.stderr
    (service,) = json.loads(outcome.stdout)["services"]
    return dict(service)


def running(device: SmallDevice, name: str) -> str | None:
    """Return the release whose model the service's process runs; None if it does not run."""
    process = device.run(f"systemctl show --property MainPID --value edgecnn@{name}").strip()
    argv = device.ask(f"cat /proc/{process}/cmdline").stdout.split("\0")
    return next((Path(argument).parent.name for argument in argv if argument.endswith("model.tflite")), None)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until `condition` is true."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "timed out"
        time.sleep(0.02)


def on_trial(device: SmallDevice, name: str) -> bool:
    """Return True while a release of the service is on trial."""
    return (device.root / f"run/edgecnn-deploy/{name}.env").is_symlink()


def leftovers(device: SmallDevice, name: str) -> list[str]:
    """Return the files that exist on the device only during a deployment."""
    root = device.root
    files = [*root.glob(f"var/lib/edgecnn/{name}/releases/.incoming.*"), *root.glob(f"etc/edgecnn/.{name}.*")]
    return [path.name for path in files] + ["trial"] * on_trial(device, name)


def _deploy_arguments(device: SmallDevice, model: Path, name: str, options: str | None) -> list[object]:
    option = [] if options is None else ["--options", options]
    return ["deploy", model, ADDRESS, "--ssh-config", device.ssh_config, *_EDGECNN, "--name", name, *option]
