"""An emulated Raspberry Pi: Debian for arm64 behind an sshd on 127.0.0.1, with every program run by qemu.

Any ssh client reaches it: `ssh -F FOLDER/ssh_config emulated-pi`, or `emulated-pi-root` for root. Its results are those
of an arm64 machine, to the bit; its speed is meaningless.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from edgecnn.core.atomic import write_json
from tests.emulated_pi.access import write_access
from tests.emulated_pi.boards import BOARDS
from tests.emulated_pi.boot import CARD, ROOT
from tests.emulated_pi.card import HOSTNAME, USER, environment_of, make_card, write_own_layer
from tests.emulated_pi.failure import DeviceError, run_or_raise
from tests.emulated_pi.layers import debian_layer, packages_layer, wheels_layer
from tests.emulated_pi.programs import DEVICE_PROGRAMS, install_programs

LOCK = Path(__file__).parent.parent.parent / "locks" / "base.txt"
CARD_BYTES = 4 << 30

_BOOT_S, _OFF_S, _COMMAND_S = 60, 30, 600
_POLL_S = 0.02
# The ioctl FS_IOC_SHUTDOWN, with the flag not to flush the journal first, has the effect of a power cut.
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2


class Device:
    """Owns a device's folder and, while it is on, its processes."""

    def __init__(self, folder: Path) -> None:
        """Open the device in `folder`, which `make_device` created."""
        self.folder = folder.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ssh_config(self) -> Path:
        """Configuration for `ssh -F`, `scp -F` and `sftp -F` with the hosts `emulated-pi` and `emulated-pi-root`."""
        return self.folder / "ssh_config"

    @property
    def is_on(self) -> bool:
        """True while the device is switched on."""
        return self._init() is not None

    @property
    def root(self) -> Path:
        """Path of the device's root on the host, while the device is on."""
        return self._path_on_host(ROOT)

    def start(self, *, stays: bool = False) -> None:
        """Switch on and wait for ssh.

        Args:
            stays: Keep the device running when this process ends.

        Raises:
            DeviceError: The device does not start.
        """
        if self.is_on:
            return
        self._wait_until_off()
        boot = [sys.executable, "-I", str(Path(__file__).with_name("boot.py")), str(self.folder)]
        with open(self.folder / "boot.log", "wb") as log:
            self._process = subprocess.Popen(
                [*boot, *(["--stays"] if stays else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + _BOOT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self._end()
                raise DeviceError(f"the device did not start: {(self.folder / 'boot.log').read_text().strip()[-300:]}")
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """Cut the power: every process ends at once, and everything that was not synced to the card is lost."""
        if self.is_on:
            card = os.open(self._path_on_host(CARD), os.O_RDONLY)
            try:
                fcntl.ioctl(card, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
            finally:
                os.close(card)
        self._end()

    def stop(self) -> None:
        """Switch off cleanly, so that everything that was written is kept."""
        if self.is_on:
            run_or_raise("sync", "--file-system", self._path_on_host(CARD))
        self._end()

    def ask(self, command: str, *, user: str = USER, send: str = "") -> subprocess.CompletedProcess[str]:
        """Run a shell command on the device.

        Args:
            command: Shell command.
            user: User who runs it.
            send: Text on its stdin.

        Returns:
            The finished process, which may have failed.
        """
        return subprocess.run(
            ["ssh", "-F", self.ssh_config, _host(user), command],
            input=send,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_S,
        )

    def run(self, command: str, *, user: str = USER, send: str = "") -> str:
        """Run a shell command on the device that must succeed.

        Args:
            command: Shell command.
            user: User who runs it.
            send: Text on its stdin.

        Returns:
            Its output.

        Raises:
            DeviceError: The command failed.
        """
        result = self.ask(command, user=user, send=send)
        if result.returncode:
            raise DeviceError(
                f"{command!r} failed with exit status {result.returncode}: {result.stderr.strip()[-300:]}"
            )
        return result.stdout

    def put(self, source: Path, target: str, *, user: str = USER) -> None:
        """Copy a file or folder of the host to `target` on the device. Raise `DeviceError` if that fails."""
        run_or_raise("scp", "-q", "-r", "-F", self.ssh_config, source, f"{_host(user)}:{target}")

    def fill_card(self, leave_bytes: int = 0) -> None:
        """Fill the card up to `leave_bytes` of free space, give or take a few blocks, until `free_card`."""
        with open(self._path_on_host(CARD) / "filling", "ab") as file:
            block = os.fstatvfs(file.fileno()).f_frsize
            while (room := os.fstatvfs(file.fileno()).f_bavail * block - leave_bytes) >= block:
                if not _allocate(file.fileno(), room, block):
                    return

    def free_card(self) -> None:
        """Free the space that `fill_card` took."""
        (self._path_on_host(CARD) / "filling").unlink(missing_ok=True)

    def _init(self) -> int | None:
        """Return the number of the device's first process, if it is still in the namespace recorded with it."""
        try:
            number, namespace = (self.folder / "init").read_text().split()
            return int(number) if os.readlink(f"/proc/{number}/ns/mnt") == namespace else None
        except OSError:
            return None

    def _path_on_host(self, path: Path) -> Path:
        init = self._init()
        if init is None:
            raise DeviceError("the device is off")
        return Path(f"/proc/{init}/root{path}")

    def _answers(self) -> bool:
        port = int(re.findall(r"Port (\d+)", self.ssh_config.read_text())[0])
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _end(self) -> None:
        """Kill the first process, which ends all others of the device, and wait until the last one has ended."""
        init = self._init()
        if init is not None:
            os.kill(init, signal.SIGKILL)
        elif self._process is not None:
            self._process.kill()
        if self._process is not None:
            self._process.wait()
        self._wait_until_off()

    def _wait_until_off(self) -> None:
        """Wait until the card's loop device is gone, which exists as long as a process of the device does."""
        deadline_s = time.monotonic() + _OFF_S
        while run_or_raise("losetup", "--associated", self.folder / "card.img"):
            if time.monotonic() > deadline_s:
                raise DeviceError(f"something still uses {self.folder / 'card.img'}")
            time.sleep(_POLL_S)


def make_device(
    folder: Path, cache: Path, *, board: str = "pi4", filled: bool = False, card_bytes: int = CARD_BYTES
) -> Device:
    """Create a device, switched off. Programs that the host lacks are installed.

    Args:
        folder: Folder of the device.
        cache: Folder for files that take long to create and are shared by all devices.
        board: Name of the board, a key of `BOARDS`.
        filled: Put the packages of the base install on the device.
        card_bytes: Size of the card.

    Returns:
        The device.

    Raises:
        DeviceError: The device cannot be created, or there already is one in the folder.
    """
    folder = folder.resolve()
    if (folder / "device.json").exists():
        raise DeviceError(f"there already is a device in {folder}: choose another folder, or delete it")
    install_programs(DEVICE_PROGRAMS)
    folder.mkdir(parents=True, exist_ok=True)
    shared = [wheels_layer(cache, LOCK), debian_layer(cache)]
    if filled:
        shared.insert(0, packages_layer(cache, LOCK))
    write_own_layer(folder / "own", BOARDS[board])
    make_card(folder / "card.img", card_bytes)
    write_access(folder, environment_of(BOARDS[board]))
    settings = {"board": board, "hostname": HOSTNAME, "layers": [str(path) for path in (folder / "own", *shared)]}
    # Written last, so that the remains of an interrupted run are recreated.
    write_json(folder / "device.json", settings)
    return Device(folder)


def _host(user: str) -> str:
    return HOSTNAME if user == USER else f"{HOSTNAME}-{user}"


def _allocate(file: int, size: int, block: int) -> bool:
    """Extend a file by `size` bytes, or by the largest of size/2, size/4, ... for which there is room."""
    while size >= block:
        try:
            os.posix_fallocate(file, os.fstat(file).st_size, size)
        except OSError:
            size //= 2
        else:
            return True
    return False
