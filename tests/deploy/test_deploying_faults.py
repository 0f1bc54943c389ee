"""Tests of failing deployments: the previous release always keeps running, and the next deployment works."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgecnn.core.model_file.card import CARD_FILE
from edgecnn.core.model_file.model_file import append_associated_files
from tests.cli.commands import finish, run_here
from tests.deploy.on_device import (
    FRAMES,
    SILENT,
    Replace,
    act,
    deploy,
    deployed,
    leftovers,
    on_trial,
    running,
    start_deploying,
    status,
    wait_until,
)
from tests.deploy.small_device import ADDRESS, SmallDevice
from tests.pixel_model import pixel_card, pixel_model


def _zip_with(name: str, text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


NEWER_CARD = _zip_with(
    CARD_FILE, pixel_card(1, 1).model_dump_json().replace('"format_version":1', '"format_version":2')
)


@pytest.fixture(scope="module")
def steady(small_device: SmallDevice, model: Path) -> str:
    """Return the release that the service `steady` runs before and after every fault."""
    small_device.run(f"mkfifo -m 666 {SILENT}", user="root")
    return deployed(small_device, model, "steady")


@contextmanager
def replaced_program(device: SmallDevice, name: str, script: str) -> Iterator[None]:
    """Replace a program on the device for the duration of the block."""
    path = device.root / "usr/local/bin" / name
    before = path.with_name("before") if path.exists() else None
    if before:
        path.rename(before)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    try:
        yield
    finally:
        path.unlink()
        if before:
            before.rename(path)


def test_a_failing_service_is_reverted_with_the_reason(
    small_device: SmallDevice, other_model: Path, steady: str
) -> None:
    outcome = deploy(small_device, other_model, "steady", "--source /no/such/video.avi")
    assert outcome.status == 1 and len(outcome.errors) == 1
    assert "/no/such/video.avi" in outcome.errors[0]
    assert f"the previous release, {steady}, runs again" in outcome.errors[0]
    assert running(small_device, "steady") == steady
    service = status(small_device, "steady")
    assert (service["healthy"], service["options"], len(service["releases"])) == (True, FRAMES, 1)
    assert leftovers(small_device, "steady") == []


def test_a_service_without_a_result_is_reverted(small_device: SmallDevice, other_model: Path, steady: str) -> None:
    outcome = deploy(small_device, other_model, "steady", f"--source {SILENT}", "--timeout", "3")
    assert outcome.status == 1 and f"the previous release, {steady}, runs again" in outcome.errors[0]
    # On a busy machine the service may not even reach the point of waiting for the picture.
    assert SILENT in outcome.errors[0] or "it gave no result within 3 s" in outcome.errors[0]
    assert running(small_device, "steady") == steady


def test_a_silent_service_gave_no_result(small_device: SmallDevice, model: Path, other_edgecnn: Replace) -> None:
    other_edgecnn('[ "$1" != run ] || exec sleep 60\nexec "$0.before" "$@"')
    outcome = deploy(small_device, model, "mute", FRAMES, "--timeout", "1")
    assert outcome.status == 1
    assert "does not work: it gave no result within 1 s; there is no previous release" in outcome.errors[0]


def test_a_failing_first_deployment_leaves_nothing(small_device: SmallDevice, model: Path) -> None:
    outcome = deploy(small_device, model, "never", "--source /no/such/video.avi")
    assert outcome.status == 1 and "nothing runs" in outcome.errors[0]
    assert running(small_device, "never") is None
    assert not (small_device.root / "etc/edgecnn/never.env").exists()
    assert list((small_device.root / "var/lib/edgecnn/never/releases").iterdir()) == []
    assert not status(small_device, "never")["enabled"]


def test_a_full_disk_changes_nothing(small_device: SmallDevice, other_model: Path, steady: str) -> None:
    small_device.fill_card(leave_bytes=100_000)
    try:
        outcome = deploy(small_device, other_model, "steady")
    finally:
        small_device.free_card()
    assert outcome.status == 1 and "the disk is full" in outcome.errors[0]
    assert running(small_device, "steady") == steady
    assert leftovers(small_device, "steady") == []


def test_a_model_that_the_device_cannot_use_changes_nothing(
    small_device: SmallDevice, steady: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(append_associated_files(b"\x18\0\0\0TFL3" + bytes(64), pixel_card(1, 1)))
    outcome = deploy(small_device, broken, "steady")
    assert outcome.status == 1 and "on the device cannot use this model" in outcome.errors[0]
    assert running(small_device, "steady") == steady


def test_settings_written_by_hand_are_not_overwritten(small_device: SmallDevice, model: Path) -> None:
    settings = small_device.root / "etc/edgecnn/byhand.env"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("MODEL=/opt/mine.tflite\n")
    outcome = deploy(small_device, model, "byhand")
    assert outcome.status == 1 and "choose another --name" in outcome.errors[0]
    assert settings.read_text() == "MODEL=/opt/mine.tflite\n"
    settings.unlink()


def test_a_concurrent_deployment_is_refused_and_a_killed_one_is_reverted(
    small_device: SmallDevice, other_model: Path, steady: str
) -> None:
    first = start_deploying(small_device, other_model, "steady", f"--source {SILENT}")
    wait_until(lambda: on_trial(small_device, "steady"))
    second = deploy(small_device, other_model, "steady")
    assert second.status == 1 and "another deployment of steady is in progress" in second.errors[0]
    first.kill()
    finish(first)
    # Otherwise the device would wait for the first result.
    small_device.run("kill -9 $(systemctl show --property MainPID --value edgecnn@steady)", user="root")
    wait_until(lambda: leftovers(small_device, "steady") == [] and running(small_device, "steady") == steady)
    deployed(small_device, other_model, "steady")
    assert act(small_device, "rollback", "--name", "steady").status == 0
    assert running(small_device, "steady") == steady


def test_a_deployment_killed_during_the_transfer_leaves_nothing(
    small_device: SmallDevice, model: Path, steady: str, tmp_path: Path
) -> None:
    port = int(re.findall(r"Port (\d+)", small_device.ssh_config.read_text())[0])
    proxy = f"{sys.executable} {Path(__file__).with_name('slow_line.py')} {port} 1000000"
    slow = tmp_path / "ssh_config"
    slow.write_text(f"Host *\n    ProxyCommand {proxy}\n{small_device.ssh_config.read_text()}")
    large = tmp_path / "large.tflite"
    large.write_bytes(_padded(model.read_bytes()))
    process = start_deploying(small_device, large, "steady", FRAMES, "--ssh-config", slow)
    wait_until(lambda: any("incoming" in name for name in leftovers(small_device, "steady")))
    process.kill()
    finish(process)
    wait_until(lambda: leftovers(small_device, "steady") == [])
    assert running(small_device, "steady") == steady
    assert status(small_device, "steady")["release"] == steady


def test_after_a_power_cut_during_a_trial_the_previous_release_runs(
    small_device: SmallDevice, other_model: Path, steady: str
) -> None:
    process = start_deploying(small_device, other_model, "steady", f"--source {SILENT}")
    wait_until(lambda: on_trial(small_device, "steady"))
    small_device.kill()
    small_device.start()
    outcome = finish(process)
    assert outcome.status == 1 and outcome.errors[0].startswith(f"error: the connection to {ADDRESS} was cut")
    wait_until(lambda: running(small_device, "steady") == steady)
    wait_until(lambda: status(small_device, "steady")["healthy"])
    small_device.run(f"mkfifo -m 666 {SILENT}", user="root")
    release = deployed(small_device, other_model, "steady")
    assert [record["release"] for record in status(small_device, "steady")["releases"]] == [release, steady]
    assert act(small_device, "rollback", "--name", "steady").status == 0


def test_a_user_without_sudo_gets_advice(small_device: SmallDevice, model: Path) -> None:
    with replaced_program(small_device, "sudo", "echo 'sudo: a password is required' >&2; exit 1"):
        outcome = deploy(small_device, model, "anyone")
    assert outcome.status == 1
    assert "sudo without a password" in outcome.errors[0] and "sudoers.d" in outcome.errors[0]


@pytest.mark.parametrize(
    ("name", "script", "expected"),
    [
        ("getconf", "echo 32", "expected a 64-bit system"),
        ("uname", "echo armv7l", "got armv7l"),
        ("python3", "echo 3.9", "expected Python 3.11 or newer, got 3.9"),
    ],
)
def test_an_unsupported_device_is_refused(
    small_device: SmallDevice, model: Path, name: str, script: str, expected: str
) -> None:
    with replaced_program(small_device, name, script):
        outcome = deploy(small_device, model, "anything")
    assert outcome.status == 1 and expected in outcome.errors[0]


def test_a_profile_of_another_kind_of_device_is_refused(small_device: SmallDevice, model: Path) -> None:
    outcome = deploy(small_device, model, "anything", FRAMES, "--profile", "raspberry_pi_4")
    assert outcome.status == 1 and "the profile raspberry_pi_4 is for aarch64" in outcome.errors[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"JFIF" * 8, "not a TFLite model"),
        (pixel_model(1, 1) + NEWER_CARD, "the model card is invalid: format_version"),
    ],
)
def test_an_unusable_model_file_is_refused_before_anything_is_sent(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(content)
    outcome = run_here("deploy", file, "ssh://pi@127.0.0.1:1", "--version", "0.1.0")
    assert outcome.status == 1 and expected in outcome.errors[0]


def _padded(content: bytes) -> bytes:
    """Return a larger file with the same model: any bytes may precede the zip."""
    start = content.index(b"PK\x03\x04")
    return content[:start] + bytes(12_000_000) + content[start:]
