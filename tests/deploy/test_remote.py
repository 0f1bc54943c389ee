"""Tests of edgecnn commands that run on a device, over a real ssh."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from edgecnn.core.errors import DeviceError, InputError
from edgecnn.core.precision import Precision
from edgecnn.deploy.address import parse_address
from edgecnn.deploy.remote_command import RemoteRun, run_remote
from edgecnn.deploy.ssh import Connection
from tests.cli.commands import run_here
from tests.colors import write_color_photos
from tests.deploy.on_device import wait_until
from tests.deploy.small_device import ADDRESS, SmallDevice

DEVICE = parse_address(ADDRESS)


def folders(device: SmallDevice) -> list[str]:
    """Return the folders for sent files in the device's /tmp."""
    return [path.name for path in (device.root / "tmp").glob("edgecnn.????????")]


def test_a_command_runs_on_the_device_with_local_files(small_device: SmallDevice, model: Path, tmp_path: Path) -> None:
    photos = write_color_photos(tmp_path / "my photos", 1)
    done = run_remote(DEVICE, ["classify", model, photos / "red", "--json"], config=small_device.ssh_config)
    assert done.status == 0
    (result,) = map(json.loads, done.stdout.splitlines())
    assert result["label"] == "red"
    assert folders(small_device) == []


def test_the_log_of_a_command_is_passed_on(small_device: SmallDevice, tmp_path: Path) -> None:
    not_a_model = tmp_path / "notes.tflite"
    not_a_model.write_text("hello")
    logged: list[str] = []
    done = run_remote(DEVICE, ["inspect", not_a_model], config=small_device.ssh_config, log=logged.append)
    assert done == RemoteRun(1, "")
    assert len(logged) == 1 and "not a TFLite model" in logged[0]


def test_a_verification_runs_on_the_device(small_device: SmallDevice, exported: dict[Precision, Path]) -> None:
    remote = ("--on", ADDRESS, "--ssh-config", small_device.ssh_config)
    outcome = run_here("verify", exported["int8"], *remote, "--json")
    assert outcome.status == 0, outcome.stderr
    record = json.loads(outcome.stdout)
    assert record["passed"] and record["model"] == f"1/{exported['int8'].name}"


def test_a_verification_that_fails_on_the_device_fails_here(small_device: SmallDevice, model: Path) -> None:
    outcome = run_here("verify", model, "--on", ADDRESS, "--ssh-config", small_device.ssh_config)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert len(outcome.errors) == 1 and "golden" in outcome.errors[0]


def test_a_missing_local_file_is_an_error(small_device: SmallDevice, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        run_remote(DEVICE, ["inspect", tmp_path / "nothing.tflite"], config=small_device.ssh_config)


def test_a_device_without_edgecnn_gives_advice(small_device: SmallDevice) -> None:
    command = small_device.root / "opt/edgecnn/bin/edgecnn"
    away = command.rename(command.with_name("away"))
    try:
        with pytest.raises(DeviceError, match="is not installed on"):
            run_remote(DEVICE, ["doctor"], config=small_device.ssh_config)
    finally:
        away.rename(command)


def test_a_cut_connection_ends_the_command_and_removes_its_files(
    small_device: SmallDevice, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Connection] = []
    connect = Connection.__init__

    def record(connection: Connection, *arguments: Path) -> None:
        opened.append(connection)
        connect(connection, *arguments)

    monkeypatch.setattr(Connection, "__init__", record)
    errors: list[DeviceError] = []

    def run() -> None:
        try:
            run_remote(DEVICE, ["run", model, "--source", "pattern", "--json"], config=small_device.ssh_config)
        except DeviceError as error:
            errors.append(error)

    running = threading.Thread(target=run)
    running.start()
    wait_until(lambda: is_running(small_device))
    opened[0].close()
    running.join()
    assert "was cut" in str(errors[0])
    wait_until(lambda: not is_running(small_device) and folders(small_device) == [])


def is_running(device: SmallDevice) -> bool:
    """Return True while the device runs a model that was sent to it."""
    lines = device.ask("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    return "-m edgecnn run 1/" in lines
