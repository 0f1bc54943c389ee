"""Keys and configuration with which a device's sshd and its clients accept only each other."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from tests.emulated_pi.boot import ROOT
from tests.emulated_pi.card import HOSTNAME, USER
from tests.emulated_pi.failure import run_or_raise


def write_access(folder: Path, environment: str) -> None:
    """Write `ssh_config`, `sshd_config` and their keys to `folder`.

    Args:
        folder: Folder of the device.
        environment: Environment of the sessions, one `NAME=value` per line.
    """
    for name in ("host_key", "client_key"):
        (folder / name).unlink(missing_ok=True)
        run_or_raise("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", HOSTNAME, "-f", folder / name)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    (folder / "known_hosts").write_text(f"{HOSTNAME} {(folder / 'host_key.pub').read_text()}")
    port = _free_port()
    (folder / "sshd_config").write_text(_sshd_config(folder, port, environment))
    (folder / "ssh_config").write_text(_ssh_config(folder, port))


def _sshd_config(folder: Path, port: int, environment: str) -> str:
    return f"""\
ListenAddress 127.0.0.1:{port}
HostKey "{folder}/host_key"
PidFile none
AllowUsers root {USER}
# Read as root, since the account may have no access to the parent folders.
AuthorizedKeysFile none
AuthorizedKeysCommand /bin/cat "{folder}/authorized_keys"
AuthorizedKeysCommandUser root
AuthenticationMethods publickey
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
ChrootDirectory {ROOT}
Subsystem sftp internal-sftp
SetEnv {" ".join(environment.splitlines())}
MaxStartups 100
MaxSessions 100
"""


def _ssh_config(folder: Path, port: int) -> str:
    return f"""\
Host {HOSTNAME}-root
    User root
Host {HOSTNAME}
    User {USER}
Host {HOSTNAME} {HOSTNAME}-root
    HostName 127.0.0.1
    Port {port}
    HostKeyAlias {HOSTNAME}
    UserKnownHostsFile "{folder}/known_hosts"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    IdentityFile "{folder}/client_key"
    IdentitiesOnly yes
    BatchMode yes
    LogLevel ERROR
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
