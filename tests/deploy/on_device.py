"""`edgecnn deploy` on the small device, and what is seen there afterwards."""

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
"""Options of a service that works."""
SILENT = "/run/silent"
"""A FIFO that nobody writes to: a service waits for its first picture for ever."""

Replace = Callable[[str], None]
"""Makes a shell script the device's edgecnn."""

# What is on the device already, so that nothing is installed.
_EDGECNN = ("--version", version("edgecnn"))
_PATIENCE_S = 90.0


def deploy(device: SmallDevice, model: Path, name: str, options: str | None = FRAMES, *more: object) -> Outcome:
    """Deploys in this process."""
    return run_here(*_words(device, model, name, options), *more)


def start_deploying(
    device: SmallDevice, model: Path, name: str, options: str, *more: object, stdin: IO[str] | None = None
) -> Popen[str]:
    """Deploys in a process of its own."""
    words = map(str, (*_words(device, model, name, options), *more))
    command = [sys.executable, "-m", "edgecnn", *words]
    return Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def deployed(device: SmallDevice, model: Path, name: str, options: str | None = FRAMES) -> str:
    """Deploys, which has to succeed, and gives the release."""
    outcome = deploy(device, model, name, options, "--json")
    assert outcome.status == 0, outcome.stderr
    return str(json.loads(outcome.stdout)["release"])


def act(device: Device, action: str, *words: object) -> Outcome:
    """One of the other actions."""
    return run_here("deploy", action, ADDRESS, "--ssh-config", device.ssh_config, *words)


def status(device: Device, name: str) -> dict[str, Any]:
    """A service's status."""
    outcome = act(device, "status", "--name", name, "--json")
    assert outcome.status == 0, outcome.stderr
    (service,) = json.loads(outcome.stdout)["services"]
    return dict(service)


def running(device: SmallDevice, name: str) -> str | None:
    """The release whose model the service's process was given; None if it does not run."""
    process = device.run(f"systemctl show --property MainPID --value edgecnn@{name}").strip()
    words = device.ask(f"cat /proc/{process}/cmdline").stdout.split("\0")
    return next((Path(word).parent.name for word in words if word.endswith("model.tflite")), None)


def wait_until(condition: Callable[[], object]) -> None:
    """Returns when `condition` is true."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.02)


def on_trial(device: SmallDevice, name: str) -> bool:
    """Whether a release of that service is being tried."""
    return (device.root / f"run/edgecnn-deploy/{name}.env").is_symlink()


def leftovers(device: SmallDevice, name: str) -> list[str]:
    """What only a deployment at work has on the device."""
    root = device.root
    found = [*root.glob(f"var/lib/edgecnn/{name}/releases/.incoming.*"), *root.glob(f"etc/edgecnn/.{name}.*")]
    return [path.name for path in found] + ["trial"] * on_trial(device, name)


def _words(device: SmallDevice, model: Path, name: str, options: str | None) -> list[object]:
    told = [] if options is None else ["--options", options]
    return ["deploy", model, ADDRESS, "--ssh-config", device.ssh_config, *_EDGECNN, "--name", name, *told]
