"""Tests of connections with the system's ssh to a real sshd, and of the errors if that fails."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecnn.core.errors import DeviceError, InputError
from edgecnn.deploy.address import Address, parse_address
from edgecnn.deploy.ssh import Connection
from tests.deploy.small_device import SmallDevice
from tests.emulated_pi.card import HOSTNAME

DEVICE = Address(HOSTNAME)


def connection_error(address: str, config: Path) -> str:
    """Return the one-line error of a failing connection."""
    with pytest.raises(DeviceError) as caught:
        Connection(parse_address(address), config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed_config(device: SmallDevice, folder: Path, **settings: object) -> Path:
    """Write the device's ssh configuration with the given settings first, so that they take precedence."""
    own = "".join(f"    {name} {value}\n" for name, value in settings.items())
    path = folder / "ssh_config"
    path.write_text(f"Host *\n{own}{device.ssh_config.read_text()}")
    return path


def new_key(folder: Path) -> Path:
    path = folder / "another_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arguments=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=0), max_size=5
    )
)
def test_arguments_reach_a_program_unchanged(connection: Connection, arguments: list[str]) -> None:
    finished = connection.run(["printf", "<%s>", *arguments])
    assert finished.stdout.rstrip("\n") == "".join(f"<{argument}>" for argument in arguments or [""])


def test_input_output_and_errors_are_transferred(connection: Connection) -> None:
    logged: list[str] = []
    shown: list[str] = []
    finished = connection.run(
        ["sh", "-c", "cat; echo one >&2; echo two >&2; exit 3"],
        [b"first\n", b"second\n"],
        log=logged.append,
        show=shown.append,
    )
    assert finished == (3, "first\nsecond\n", ("one", "two"))
    assert (logged, shown) == (["one", "two"], ["first", "second"])


def test_a_program_that_reads_nothing_does_not_block_the_sender(connection: Connection) -> None:
    assert connection.run(["true"], [bytes(1 << 20)] * 8).status == 0


def test_all_commands_share_one_connection_and_nothing_is_left(
    small_device: SmallDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TemporaryDirectory() as empty:
        monkeypatch.setattr(tempfile, "tempdir", empty)
        with Connection(DEVICE, small_device.ssh_config) as connection:
            seen = {connection.run(["sh", "-c", "echo $SSH_CONNECTION"]).stdout for _ in range(3)}
            (folder,) = Path(empty).iterdir()
            assert oct(folder.stat().st_mode & 0o777) == "0o700"
        assert len(seen) == 1
        assert list(Path(empty).iterdir()) == []


def test_a_long_temporary_path_is_supported(
    small_device: SmallDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with Connection(DEVICE, small_device.ssh_config) as connection:
        assert connection.run(["echo", "hello"]).stdout == "hello\n"


def test_an_unknown_host_name(small_device: SmallDevice) -> None:
    assert "unknown host name" in connection_error("ssh://pi@no-such-device.invalid", small_device.ssh_config)


def test_an_unreachable_device(small_device: SmallDevice) -> None:
    assert "no answer" in connection_error("ssh://pi@255.255.255.255", small_device.ssh_config)


def test_a_device_without_an_sshd(small_device: SmallDevice) -> None:
    assert "nothing listens on that port" in connection_error("ssh://pi@127.0.0.1:1", small_device.ssh_config)


def test_a_key_that_is_not_accepted(small_device: SmallDevice, tmp_path: Path) -> None:
    config = changed_config(small_device, tmp_path, IdentityFile=new_key(tmp_path))
    config.write_text(config.read_text().replace(str(small_device.folder / "client_key"), "none"))
    error = connection_error(f"ssh://pi@{HOSTNAME}", config)
    assert "does not accept your key" in error and f"ssh-copy-id pi@{HOSTNAME}" in error


def test_a_host_key_that_is_not_known(small_device: SmallDevice, tmp_path: Path) -> None:
    for checking in ("yes", "ask"):
        config = changed_config(small_device, tmp_path, UserKnownHostsFile="none", StrictHostKeyChecking=checking)
        error = connection_error(f"ssh://{HOSTNAME}", config)
        assert "host key is not known yet" in error and f"ssh {HOSTNAME}" in error


def test_a_host_key_that_has_changed(small_device: SmallDevice, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"{HOSTNAME} {new_key(tmp_path).with_suffix('.pub').read_text()}")
    error = connection_error(f"ssh://{HOSTNAME}", changed_config(small_device, tmp_path, UserKnownHostsFile=known))
    assert "its host key has changed" in error and f'ssh-keygen -f "{known}" -R "{HOSTNAME}"' in error
    assert known.read_text().count("\n") == 1


def test_an_invalid_ssh_configuration(small_device: SmallDevice, tmp_path: Path) -> None:
    config = changed_config(small_device, tmp_path, NoSuchSetting="yes")
    assert "your ssh configuration is invalid" in connection_error(f"ssh://{HOSTNAME}", config)


def test_a_missing_ssh_configuration(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such configuration file"):
        Connection(DEVICE, tmp_path / "nothing")


def test_a_connection_that_is_cut_is_an_error(small_device: SmallDevice) -> None:
    with Connection(DEVICE, small_device.ssh_config) as connection, pytest.raises(DeviceError, match="was cut"):
        # Kill the process of the device's sshd that serves the connection.
        connection.run(["sh", "-c", "kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat) $PPID; sleep 60"])


def test_ssh_never_asks_for_input(small_device: SmallDevice, tmp_path: Path) -> None:
    """A key with a passphrase would ask on the terminal or with a program."""
    key = tmp_path / "locked_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a phrase", "-f", key], check=True)
    config = changed_config(small_device, tmp_path, IdentityFile=key)
    config.write_text(config.read_text().replace(str(small_device.folder / "client_key"), "none"))
    asked = tmp_path / "asked"
    (tmp_path / "ask").write_text(f"#!/bin/sh\ntouch {asked}\n")
    (tmp_path / "ask").chmod(0o755)
    before = dict(os.environ)
    os.environ |= {"SSH_ASKPASS": str(tmp_path / "ask"), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    try:
        assert "does not accept your key" in connection_error(f"ssh://{HOSTNAME}", config)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert not asked.exists()
