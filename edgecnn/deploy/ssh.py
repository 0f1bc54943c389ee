"""The system's own ssh, so that ~/.ssh/config, agents and jump hosts do what they do elsewhere."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

from edgecnn.core.errors import DeviceError, InputError, MissingDependency
from edgecnn.core.progress import Log
from edgecnn.deploy.address import Address
from edgecnn.deploy.ssh_failure import explain_failure
from edgecnn.runtime.closeable import Closeable

CONNECT_S = 10
_FAILED = 255
"""What ssh leaves with when it is ssh that failed, and not the command."""

# How host keys are checked is the user's to say; that nobody is asked for anything is ours.
_SETTINGS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_S}",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "LogLevel=ERROR",
)
_IDLE_S = 30
"""How long the connection stays for a program that was killed and could not close it."""

_LONG_FOLDER = 50


class Finished(NamedTuple):
    """What a command on a device left with and wrote."""

    status: int
    stdout: str
    """With a newline behind every line."""
    stderr: tuple[str, ...]
    """Its lines."""


class Connection(Closeable):
    """Owns a connection to a device, which all commands share, and the private folder in which its socket is."""

    def __init__(self, address: Address, config: Path | None = None) -> None:
        """Connects, with the settings of the file `config` in place of ~/.ssh/config if given. Raises `DeviceError`."""
        if not shutil.which("ssh"):
            raise MissingDependency("expected the program ssh, found none: sudo apt install openssh-client")
        if config is not None and not config.is_file():
            raise InputError(f"no such file with settings for ssh: {config}")
        self.address = address
        self._config = config
        self._folder = _private_folder()
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def run(
        self,
        words: Sequence[str],
        send: Iterable[bytes] = (),
        *,
        log: Log | None = None,
        show: Log | None = None,
        hold: bool = False,
        when_cut: str = "try again",
    ) -> Finished:
        """Runs a program on the device, with `send` on its stdin.

        Its lines on stderr go to `tell` and those on stdout to `show`, each in a thread, as they come. With `hold` its
        stdin stays open until it has ended, so that it can tell when the connection is cut. Raises `DeviceError` if
        that happens; `when_cut` is what to do then.
        """
        command = [*self._command("-o", "ControlMaster=no"), shlex.join(words)]
        out: list[str] = []
        said: list[str] = []
        with _Process(command) as process:
            listeners = [
                threading.Thread(target=_listen, args=arguments, daemon=True)
                for arguments in ((process.stdout, out, show), (process.stderr, said, log))
            ]
            for listener in listeners:
                listener.start()
            _feed(process, send, hold=hold)
            for listener in listeners:
                listener.join()
            status = process.wait()
        if status == _FAILED:
            raise DeviceError(f"the connection to {self.address} was cut: {when_cut}")
        return Finished(status, "".join(f"{line}\n" for line in out), tuple(said))

    def close(self) -> None:
        if (self._folder / "socket").exists():
            command = self._command("-O", "exit")
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=CONNECT_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self) -> None:
        """Leaves a process behind that holds the connection."""
        said = self._folder / "said"
        # Not a pipe, which the process that stays would hold open.
        with open(said, "wb") as file:
            command = self._command("-M", "-N", "-f", "-o", f"ControlPersist={_IDLE_S}")
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False).returncode
        if status:
            raise explain_failure(self.address, said.read_text(errors="replace").splitlines())

    def _command(self, *options: str) -> list[str]:
        address = self.address
        return [
            "ssh",
            *(["-F", str(self._config)] if self._config else []),
            *(word for setting in _SETTINGS for word in ("-o", setting)),
            *("-S", str(self._folder / "socket")),
            *(["-p", str(address.port)] if address.port else []),
            *(["-l", address.user] if address.user else []),
            *options,
            "--",
            address.host,
        ]


def _private_folder() -> Path:
    """A socket's path may have about a hundred characters, which must not be used up by TMPDIR."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="edgecnn-", dir=usual if len(usual) < _LONG_FOLDER else "/tmp"))  # noqa: S108


class _Process(subprocess.Popen[bytes]):
    """A process on three pipes that does not outlive its `with` block."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.input = cast(IO[bytes], self.stdin)

    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(None, None, None)


def _feed(process: _Process, send: Iterable[bytes], *, hold: bool) -> None:
    """A program that has seen enough says itself why."""
    with suppress(BrokenPipeError):
        for piece in send:
            process.input.write(piece)
        process.input.flush()
    if hold:
        process.wait()
    with suppress(BrokenPipeError):
        process.input.close()


def _listen(stream: IO[bytes], said: list[str], log: Log | None) -> None:
    for line in stream:
        text = line.decode(errors="replace").rstrip("\r\n")
        said.append(text)
        if log:
            log(text)
