"""Tests of a user's commands in a row: from a bare Raspberry Pi to a running model, verified and measured."""

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
"""The device uses its wheels instead of the package index, so that no network is needed."""
RUNNING = "/var/lib/edgecnn/door/current/model.tflite"


@pytest.fixture(scope="module")
def camera() -> Iterator[LoopbackCamera]:
    """Return a camera on this machine that is slow enough not to overload the device."""
    with LoopbackCamera(per_second=2) as camera:
        yield camera


@pytest.fixture(scope="module")
def pi(new_device: Callable[..., Device], exported: dict[Precision, Path], camera: LoopbackCamera) -> Device:
    """Return a device that was bare until a deployment installed edgecnn and the model, as the service `door`."""
    device = new_device()
    device.run("cat > /etc/pip.conf", user="root", send=PIP)
    deploy(device, exported["int8"], "door", f"--source {camera.address}")
    return device


def deploy(device: Device, model: Path, name: str, options: str) -> None:
    arguments = ("--ssh-config", device.ssh_config, "--name", name, "--options", options)
    outcome = run_here("deploy", model, ADDRESS, *arguments)
    assert outcome.status == 0, outcome.stderr


def remote(device: Device) -> tuple[object, ...]:
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


def test_int8_is_verified_to_the_bit_on_the_device(pi: Device, exported: dict[Precision, Path]) -> None:
    record = json_of("verify", exported["int8"], *remote(pi))
    assert record["passed"] and record["family"]["here"]["machine"] == "aarch64"
    assert [vector["max_difference"] for vector in record["vectors"]] == [0] * len(record["vectors"])


def test_a_benchmark_on_the_device_decides_as_one_here(
    pi: Device, exported: dict[Precision, Path], digits: Path, tmp_path: Path
) -> None:
    model, local, remote_out = exported["int8"], tmp_path / "local.json", tmp_path / "remote.json"
    arguments = ("--quick", "--baseline", exported["float32"], "--data", digits, "--limit", 30, "--seconds", 0)
    json_of("benchmark", model, *arguments, "--out", local)
    record = json_of("benchmark", model, *arguments, "--out", remote_out, *remote(pi))
    assert json.loads(remote_out.read_text()) == record
    assert record["environment"]["board"] == BOARDS["pi4"].model
    assert {"machine": "aarch64", "interpreter": "ai-edge-litert"}.items() <= record["environment"].items()
    assert {"queries": 128, "min_seconds": 0, "frame_width": 640}.items() <= record["protocol"].items()
    assert len(record["samples"]["baseline"]["total"]) == record["stages"]["total"]["n"] == 128
    _, compared = json_of("compare", local, remote_out)["reports"]
    assert compared["agreement"] == {"n": 30, "agreement": 1.0, "differing": []}


def test_a_user_of_the_device_runs_the_deployed_model_on_the_camera(pi: Device, camera: LoopbackCamera) -> None:
    output = pi.run(f"edgecnn run {RUNNING} --source {camera.address} --json --max-frames 3")
    assert [json.loads(line)["source"] for line in output.splitlines()] == [camera.address] * 3


def test_removing_a_service_leaves_the_device_as_before(pi: Device, exported: dict[Precision, Path]) -> None:
    deploy(pi, exported["int8"], "gone", "--source pattern:64x64@2")
    assert act(pi, "remove", "--name", "gone").status == 0
    assert pi.ask("systemctl is-active edgecnn@gone").stdout.strip() == "inactive"
    assert "gone" not in pi.run("ls -R /var/lib/edgecnn /etc/edgecnn /etc/systemd/system", user="root")
    assert status(pi, "door")["healthy"]
