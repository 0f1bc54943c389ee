"""Files of a new device beyond Debian: its board, accounts, stand-ins for systemd; and the card that it writes to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.emulated_pi.boards import Board, write_board
from tests.emulated_pi.failure import run_or_raise

HOSTNAME = "emulated-pi"
USER, USER_ID = "pi", 1000

_STAND_INS = Path(__file__).parent / "stand_ins"

# qemu's user emulation looks up absolute paths in this folder first. So the files in /proc about the host's processor
# are replaced, and /proc/device-tree, which a PC lacks, is added. A program that lists /proc itself, such as `ps`,
# therefore finds only these files.
_SHADOWED = "etc/qemu-binfmt/aarch64"

ACCOUNTS = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/bash\n"
        f"{USER}:x:{USER_ID}:{USER_ID}::/home/{USER}:/bin/bash\n"
        "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/group": f"root:x:0:\ntty:x:5:\nsudo:x:27:{USER}\nvideo:x:44:{USER}\n{USER}:x:{USER_ID}:\nnogroup:x:65534:\n",
    # A password that nobody can enter. A locked account would not do, since sshd refuses those.
    "etc/shadow": f"root:*:19000::::::\n{USER}:*:19000::::::\n",
}

_FILES = {
    **ACCOUNTS,
    "etc/hosts": f"127.0.0.1 localhost {HOSTNAME}\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    "etc/sudoers.d/pi": f'Defaults env_keep += "QEMU_CPU"\n{USER} ALL=(ALL) NOPASSWD: ALL\n',
    **{
        f"etc/pam.d/{service}": "".join(f"{kind} sufficient pam_permit.so\n" for kind in ("auth", "account", "session"))
        for service in ("sudo", "su", "other")
    },
}

_LINKS = {
    "usr/local/bin/systemctl": "../lib/units/systemctl.py",
    "usr/local/bin/journalctl": "../lib/units/journalctl.sh",
    "usr/bin/awk": "mawk",
}


def environment_of(board: Board) -> str:
    """Return the environment that sessions and services need, one `NAME=value` per line.

    Without QEMU_CPU, qemu emulates a processor on which int8 models give wrong results without an error.
    """
    return f"QEMU_CPU={board.cpu}\nLANG=C.UTF-8\n"


def write_own_layer(root: Path, board: Board) -> None:
    """Write the files that turn Debian into this device, and nothing else, to `root`."""
    shutil.rmtree(root, ignore_errors=True)
    write_board(root / _SHADOWED / "proc", root / "sys", board)
    files = _FILES | {"etc/environment": environment_of(board)}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copytree(_STAND_INS, root / "usr/local/lib/units", ignore=shutil.ignore_patterns("__pycache__"))
    for name, target in _LINKS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    (root / "home" / USER).mkdir(parents=True)
    _set_modes(root)


def make_card(path: Path, size_bytes: int) -> None:
    """Create an empty ext4 file system in a sparse file."""
    with open(path, "wb") as file:
        file.truncate(size_bytes)
    run_or_raise("mkfs.ext4", "-q", "-F", "-m", "0", path)


def _set_modes(root: Path) -> None:
    """Set modes that sudo and sshd accept, whatever the umask and the checkout are."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "units" else 0o644)
    (root / "etc/shadow").chmod(0o600)
    (root / "etc/sudoers.d/pi").chmod(0o440)
    os.chown(root / "home" / USER, USER_ID, USER_ID)
