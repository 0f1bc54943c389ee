"""Deployments that go well, on a device that is this machine behind a real sshd."""

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
    """The release that the service `door` runs."""
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


def test_what_is_left_on_a_device_is_the_release_and_settings_for_root_alone(
    small_device: SmallDevice, door: str
) -> None:
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
        # The third deployment was told no options, so they stayed those of the second.
        assert status(small_device, "history")["options"] == two
    outcome = act(small_device, "rollback", "--name", "history")
    assert outcome.status == 1 and "no release before" in outcome.errors[0]


def test_what_is_removed_is_gone_and_others_stay(small_device: SmallDevice, model: Path, door: str) -> None:
    deployed(small_device, model, "gone")
    assert act(small_device, "remove", "--name", "gone").status == 0
    assert running(small_device, "gone") is None
    wanted = small_device.root / "etc/systemd/system/multi-user.target.wants"
    for folder in (small_device.root / "var/lib/edgecnn", small_device.root / "etc/edgecnn", wanted):
        assert [path for path in folder.iterdir() if "gone" in path.name] == []
    assert running(small_device, "door") == door
    outcome = act(small_device, "status", "--name", "gone")
    assert outcome.status == 1 and "there is door" in outcome.errors[0]


def test_a_password_is_seen_nowhere_but_in_the_settings(small_device: SmallDevice, model: Path, tmp_path: Path) -> None:
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


def test_several_devices_have_an_outcome_each(small_device: SmallDevice, model: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "house.toml"
    inventory.write_text(
        f'[devices.door]\naddress = "{ADDRESS}"\noptions = "{FRAMES}"\n'
        '[devices.away]\naddress = "ssh://pi@127.0.0.1:1"\n'
    )
    words = ("--inventory", inventory, "--ssh-config", small_device.ssh_config, "--name", "several")
    outcome = run_here("deploy", model, *words, "--version", version("edgecnn"), "--json")
    found = {record["device"]: record for record in map(json.loads, outcome.stdout.splitlines())}
    assert outcome.status == 1
    assert outcome.errors == ["error: 1 of 2 devices failed: away; see above"]
    assert found["door"]["error"] is None and found["door"]["release"] == running(small_device, "several")
    assert "nothing answers on that port" in found["away"]["error"]


def test_following_a_log_shows_what_comes_and_ends_there_too(small_device: SmallDevice, door: str) -> None:
    words = ("deploy", "logs", "--follow", ADDRESS, "--name", "door", "--ssh-config", small_device.ssh_config)
    process = start(*words)
    assert process.stdout is not None
    frames = [json.loads(process.stdout.readline())["frame"] for _ in range(25)]
    assert frames == sorted(set(frames))
    process.send_signal(signal.SIGINT)
    assert finish(process).status == 130
    wait_until(lambda: "tail" not in small_device.ask("cat /proc/[0-9]*/cmdline").stdout)


def test_a_deployment_that_is_interrupted_says_what_becomes_of_it(small_device: SmallDevice, model: Path) -> None:
    process = start_deploying(small_device, model, "stopped", FRAMES)
    wait_until(lambda: on_trial(small_device, "stopped"))
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.status == 130 and "a device completes or rolls back what it has begun" in outcome.stderr
    wait_until(lambda: not on_trial(small_device, "stopped"))
    assert running(small_device, "stopped") == status(small_device, "stopped")["release"] is not None


class _CommandLines:
    """Watches what `ps` shows, here and on the device, for the word `hidden`."""

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
                    words = file.read_bytes().decode(errors="replace").split("\0")
                except OSError:
                    continue
                self.seen += 1
                if any("hidden" in word for word in words):
                    self.leaks.add(" ".join(words))
