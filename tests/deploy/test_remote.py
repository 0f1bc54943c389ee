"""Running edgecnn on a device, over a real ssh."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from edgecnn.core.errors import DeviceError, InputError
from edgecnn.core.precision import Precision
from edgecnn.deploy.address import parse_address
from edgecnn.deploy.remote import RemoteRun, run_remote
from edgecnn.deploy.ssh import Connection
from tests.cli.commands import run_here
from tests.colors import write_color_photos
from tests.deploy.on_device import wait_until
from tests.deploy.small_device import ADDRESS, SmallDevice

DEVICE = parse_address(ADDRESS)


def folders(device: SmallDevice) -> list[str]:
    """What is in the device's /tmp, where the files go that are taken along."""
    return [path.name for path in (device.root / "tmp").glob("edgecnn.????????")]


def test_a_command_runs_there_with_files_of_here(small_device: SmallDevice, model: Path, tmp_path: Path) -> None:
    photos = write_color_photos(tmp_path / "my photos", 1)
    done = run_remote(DEVICE, ["classify", model, photos / "red", "--json"], config=small_device.ssh_config)
    assert done.status == 0
    (result,) = map(json.loads, done.stdout.splitlines())
    assert result["label"] == "red"
    assert folders(small_device) == []


def test_what_a_command_says_comes_as_it_says_it(small_device: SmallDevice, tmp_path: Path) -> None:
    not_a_model = tmp_path / "notes.tflite"
    not_a_model.write_text("hello")
    said: list[str] = []
    done = run_remote(DEVICE, ["inspect", not_a_model], config=small_device.ssh_config, log=said.append)
    assert done == RemoteRun(1, "")
    assert len(said) == 1 and "not a TFLite model" in said[0]


def test_a_verification_is_carried_out_there(small_device: SmallDevice, exported: dict[Precision, Path]) -> None:
    there = ("--on", ADDRESS, "--ssh-config", small_device.ssh_config)
    outcome = run_here("verify", exported["int8"], *there, "--json")
    assert outcome.status == 0, outcome.stderr
    record = json.loads(outcome.stdout)
    assert record["passed"] and record["model"] == f"1/{exported['int8'].name}"


def test_a_verification_that_fails_there_fails_here(small_device: SmallDevice, model: Path) -> None:
    outcome = run_here("verify", model, "--on", ADDRESS, "--ssh-config", small_device.ssh_config)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert len(outcome.errors) == 1 and "golden" in outcome.errors[0]


def test_a_file_that_is_not_here_is_an_error_here(small_device: SmallDevice, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        run_remote(DEVICE, ["inspect", tmp_path / "nothing.tflite"], config=small_device.ssh_config)


def test_a_device_without_edgecnn_says_how_to_get_it(small_device: SmallDevice) -> None:
    command = small_device.root / "opt/edgecnn/bin/edgecnn"
    away = command.rename(command.with_name("away"))
    try:
        with pytest.raises(DeviceError, match="is not installed on"):
            run_remote(DEVICE, ["doctor"], config=small_device.ssh_config)
    finally:
        away.rename(command)


def test_a_command_ends_and_its_files_go_when_the_connection_is_cut(
    small_device: SmallDevice, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Connection] = []
    connect = Connection.__init__

    def noted(connection: Connection, *arguments: Path) -> None:
        opened.append(connection)
        connect(connection, *arguments)

    monkeypatch.setattr(Connection, "__init__", noted)
    errors: list[DeviceError] = []

    def run() -> None:
        try:
            run_remote(DEVICE, ["run", model, "--source", "pattern", "--json"], config=small_device.ssh_config)
        except DeviceError as error:
            errors.append(error)

    running = threading.Thread(target=run)
    running.start()
    wait_until(lambda: runs(small_device))
    opened[0].close()
    running.join()
    assert "was cut" in str(errors[0])
    wait_until(lambda: not runs(small_device) and folders(small_device) == [])


def runs(device: SmallDevice) -> bool:
    """Whether a model from a folder for files that were taken along is being run."""
    lines = device.ask("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    return "-m edgecnn run 1/" in lines
