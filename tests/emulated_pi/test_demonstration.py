"""From a bare Raspberry Pi to a model at work there, proved and measured: the commands that a user types, in a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgecnn.core.precision import Precision
from tests.cli.commands import json_of, run_here
from tests.deploy.on_device import act, status, wait_until
from tests.deploy.small_device import ADDRESS
from tests.emulated_pi.boards import BOARDS
from tests.emulated_pi.device import Device
from tests.emulated_pi.layers import WHEELS_FOLDER
from tests.runtime.sources.loopback_camera import LoopbackCamera

pytestmark = pytest.mark.timeout(1800)

PIP = f"[global]\nno-index = true\nfind-links = {WHEELS_FOLDER}\n"
"""The wheels that the device has in place of the package index: nothing here needs a network."""
RUNNING = "/var/lib/edgecnn/door/current/model.tflite"


@pytest.fixture(scope="module")
def camera() -> Iterator[LoopbackCamera]:
    """A camera of this machine, slow enough to leave the device its breath."""
    with LoopbackCamera(per_second=2) as camera:
        yield camera


@pytest.fixture(scope="module")
def pi(new_device: Callable[..., Device], exported: dict[Precision, Path], camera: LoopbackCamera) -> Device:
    """A device that was bare until the model was deployed to it, as the service `door`, and edgecnn with the model."""
    device = new_device()
    device.run("cat > /etc/pip.conf", user="root", send=PIP)
    deploy(device, exported["int8"], "door", f"--source {camera.address}")
    return device


def deploy(device: Device, model: Path, name: str, options: str) -> None:
    words = ("--ssh-config", device.ssh_config, "--name", name, "--options", options)
    outcome = run_here("deploy", model, ADDRESS, *words)
    assert outcome.status == 0, outcome.stderr


def there(device: Device) -> tuple[object, ...]:
    return ("--on", ADDRESS, "--ssh-config", device.ssh_config)


def test_the_deployed_service_classifies_the_camera(pi: Device, camera: LoopbackCamera) -> None:
    service = status(pi, "door")
    assert service["healthy"] and service["enabled"] and not service["on_trial"]
    (record,) = service["releases"]
    assert record["profile"] == "raspberry_pi_4"
    wait_until(lambda: '"label"' in act(pi, "logs", "--name", "door", "--lines", "1").stdout)
    answer = json.loads(act(pi, "logs", "--name", "door", "--lines", "1").stdout)
    assert answer["source"] == camera.address
    assert answer["label"] in {str(digit) for digit in range(10)}


def test_int8_is_verified_to_the_bit_there(pi: Device, exported: dict[Precision, Path]) -> None:
    record = json_of("verify", exported["int8"], *there(pi))
    assert record["passed"] and record["family"]["here"]["machine"] == "aarch64"
    assert [each["max_difference"] for each in record["vectors"]] == [0] * len(record["vectors"])


def test_a_benchmark_there_decides_as_one_here(
    pi: Device, exported: dict[Precision, Path], digits: Path, tmp_path: Path
) -> None:
    model, here, far = exported["int8"], tmp_path / "here.json", tmp_path / "there.json"
    words = ("--quick", "--baseline", exported["float32"], "--data", digits, "--limit", 30, "--seconds", 0)
    json_of("benchmark", model, *words, "--out", here)
    record = json_of("benchmark", model, *words, "--out", far, *there(pi))
    assert json.loads(far.read_text()) == record
    assert record["environment"]["board"] == BOARDS["pi4"].model
    assert {"machine": "aarch64", "interpreter": "ai-edge-litert"}.items() <= record["environment"].items()
    assert {"queries": 128, "min_seconds": 0, "frame_width": 640}.items() <= record["protocol"].items()
    assert len(record["samples"]["baseline"]["total"]) == record["stages"]["total"]["n"] == 128
    _, compared = json_of("compare", here, far)["reports"]
    assert compared["agreement"] == {"n": 30, "agreement": 1.0, "differing": []}


def test_a_user_there_runs_what_was_deployed_on_the_camera(pi: Device, camera: LoopbackCamera) -> None:
    said = pi.run(f"edgecnn run {RUNNING} --source {camera.address} --json --max-frames 3")
    assert [json.loads(line)["source"] for line in said.splitlines()] == [camera.address] * 3


def test_what_is_removed_leaves_the_device_as_it_was(pi: Device, exported: dict[Precision, Path]) -> None:
    deploy(pi, exported["int8"], "gone", "--source pattern:64x64@2")
    assert act(pi, "remove", "--name", "gone").status == 0
    assert pi.ask("systemctl is-active edgecnn@gone").stdout.strip() == "inactive"
    assert "gone" not in pi.run("ls -R /var/lib/edgecnn /etc/edgecnn /etc/systemd/system", user="root")
    assert status(pi, "door")["healthy"]
