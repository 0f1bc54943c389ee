"""Tests of successful deployments, on a device that is this machine behind a real sshd."""

from __future__ import annotations

import json
import signal
import threading
from importlib.metadata import version
from pathlib import Path

import pytest

from edgecnn.core.model_file.model_file import sha256_of
from tests.cli.commands import finish, run_here, start
from tests.deploy.on_device import (
    FRAMES,
    act,
    deployed,
    leftovers,
    on_trial,
    running,
    start_deploying,
    status,
    wait_until,
)
from tests.deploy.small_device import ADDRESS, SmallDevice
from tests.runtime.sources.loopback_camera import LoopbackCamera


@pytest.fixture(scope="module")
def door(small_device: SmallDevice, model: Path) -> str:
    """Return the release that the service `door` runs."""
    return deployed(small_device, model, "door")


def test_a_deployed_model_classifies_and_starts_with_the_device(
    small_device: SmallDevice, model: Path, door: str
) -> None:
    service = status(small_device, "door")
    assert service["healthy"] and service["enabled"] and not service["on_trial"]
    assert (service["release"], service["options"]) == (door, FRAMES)
    (record,) = service["releases"]
    assert (record["model"], record["sha256"], record["release"]) == (model.name, sha256_of(model), door)
    assert running(small_device, "door") == door
    wait_until(lambda: '"label"' in act(small_device, "logs", "--name", "door", "--lines", "1").stdout)


def test_a_device_stores_the_release_and_settings_that_only_root_can_read(small_device: SmallDevice, door: str) -> None:
    home = small_device.root / "var/lib/edgecnn/door"
    assert sorted(path.name for path in home.iterdir()) == ["current", "releases"]
    assert (home / "current").readlink() == Path("releases") / door
    files = {path.name: path.stat() for path in (home / "releases" / door).iterdir()}
    assert sorted(files) == ["before", "model.tflite", "record.json", "service.env"]
    settings = (small_device.root / "etc/edgecnn/door.env").stat()
    assert [oct(file.st_mode & 0o777) for file in (settings, files["service.env"])] == ["0o600", "0o600"]
    assert {file.st_uid for file in (settings, *files.values())} == {0}
    assert leftovers(small_device, "door") == []


def test_three_releases_are_kept_and_rollback_goes_back_through_them(
    small_device: SmallDevice, model: Path, other_model: Path
) -> None:
    two = f"{FRAMES} --top-k 2"
    deployments = [(model, FRAMES), (other_model, two), (model, None), (other_model, FRAMES)]
    releases = [deployed(small_device, file, "history", options) for file, options in deployments]
    kept = [record["release"] for record in status(small_device, "history")["releases"]]
    assert kept == releases[:0:-1]
    for release in (releases[2], releases[1]):
        outcome = act(small_device, "rollback", "--name", "history", "--json")
        assert json.loads(outcome.stdout)["release"] == release, outcome.stderr
        assert running(small_device, "history") == release
        # The third deployment had no options, so it kept those of the second.
        assert status(small_device, "history")["options"] == two
    outcome = act(small_device, "rollback", "--name", "history")
    assert outcome.status == 1 and "no release before" in outcome.errors[0]


def test_a_removed_service_is_gone_and_others_stay(small_device: SmallDevice, model: Path, door: str) -> None:
    deployed(small_device, model, "gone")
    assert act(small_device, "remove", "--name", "gone").status == 0
    assert running(small_device, "gone") is None
    enabled = small_device.root / "etc/systemd/system/multi-user.target.wants"
    for folder in (small_device.root / "var/lib/edgecnn", small_device.root / "etc/edgecnn", enabled):
        assert [path for path in folder.iterdir() if "gone" in path.name] == []
    assert running(small_device, "door") == door
    outcome = act(small_device, "status", "--name", "gone")
    assert outcome.status == 1 and "deployed: door" in outcome.errors[0]


def test_a_password_appears_only_in_the_settings(small_device: SmallDevice, model: Path, tmp_path: Path) -> None:
    with LoopbackCamera(user="me", password="hidden") as camera:
        options = f"--source {camera.address_for('me:hidden')}"
        typed = tmp_path / "typed"
        typed.write_text(f"{options}\n")
        watch = _CommandLines()
        with watch, open(typed) as stdin:
            outcome = finish(start_deploying(small_device, model, "secret", "-", "--json", stdin=stdin))
        assert outcome.status == 0, outcome.stderr
        shown = act(small_device, "status", "--name", "secret").stdout
    assert watch.seen > 10 and watch.leaks == set()
    assert "hidden" not in outcome.stdout + outcome.stderr + shown
    assert "me:***@" in shown
    assert options in (small_device.root / "etc/edgecnn/secret.env").read_text()


def test_each_of_several_devices_has_an_outcome(small_device: SmallDevice, model: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "house.toml"
    inventory.write_text(
        f'[devices.door]\naddress = "{ADDRESS}"\noptions = "{FRAMES}"\n'
        '[devices.away]\naddress = "ssh://pi@127.0.0.1:1"\n'
    )
    arguments = ("--inventory", inventory, "--ssh-config", small_device.ssh_config, "--name", "several")
    outcome = run_here("deploy", model, *arguments, "--version", version("edgecnn"), "--json")
    records = {record["device"]: record for record in map(json.loads, outcome.stdout.splitlines())}
    assert outcome.status == 1
    assert outcome.errors == ["error: 1 of 2 devices failed: away; see above"]
    assert records["door"]["error"] is None and records["door"]["release"] == running(small_device, "several")
    assert "nothing listens on that port" in records["away"]["error"]


def test_following_a_log_shows_new_lines_and_stops_on_the_device_too(small_device: SmallDevice, door: str) -> None:
    arguments = ("deploy", "logs", "--follow", ADDRESS, "--name", "door", "--ssh-config", small_device.ssh_config)
    process = start(*arguments)
    assert process.stdout is not None
    frames = [json.loads(process.stdout.readline())["frame"] for _ in range(25)]
    assert frames == sorted(set(frames))
    process.send_signal(signal.SIGINT)
    assert finish(process).status == 130
    wait_until(lambda: "tail" not in small_device.ask("cat /proc/[0-9]*/cmdline").stdout)


def test_an_interrupted_deployment_is_completed_by_the_device(small_device: SmallDevice, model: Path) -> None:
    process = start_deploying(small_device, model, "stopped", FRAMES)
    wait_until(lambda: on_trial(small_device, "stopped"))
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.status == 130 and "a device completes or rolls back what it has begun" in outcome.stderr
    wait_until(lambda: not on_trial(small_device, "stopped"))
    assert running(small_device, "stopped") == status(small_device, "stopped")["release"] is not None


class _CommandLines:
    """Watches the command lines that `ps` shows, here and on the device, for the word `hidden`."""

    def __init__(self) -> None:
        self.seen = 0
        self.leaks: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    argv = file.read_bytes().decode(errors="replace").split("\0")
                except OSError:
                    continue
                self.seen += 1
                if any("hidden" in argument for argument in argv):
                    self.leaks.add(" ".join(argv))
