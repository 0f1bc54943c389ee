"""Connections through the system's ssh, so that ~/.ssh/config, agents and jump hosts work as usual."""

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
"""Timeout for connecting, in seconds."""
_FAILED = 255
"""Exit status of ssh if ssh itself failed, and not the remote command."""

# ssh must never ask for input. The user's configuration decides how host keys are checked.
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
"""Seconds that the connection stays open if the program was killed and could not close it."""

_MAX_FOLDER_LENGTH = 50


class Finished(NamedTuple):
    """The result of a command on a device."""

    status: int
    """Exit status."""
    stdout: str
    """Output, with a newline after every line."""
    stderr: tuple[str, ...]
    """Lines of the error output."""


class Connection(Closeable):
    """A connection to a device that all commands share; owns the private folder that contains its socket."""

    def __init__(self, address: Address, config: Path | None = None) -> None:
        """Connect to a device.

        Args:
            address: The device.
            config: Configuration file for ssh, used instead of `~/.ssh/config`.

        Raises:
            DeviceError: The device cannot be reached; the message says what to do.
            InputError: The configuration file does not exist.
            MissingDependency: ssh is not installed.
        """
        if not shutil.which("ssh"):
            raise MissingDependency("ssh is not installed: sudo apt install openssh-client")
        if config is not None and not config.is_file():
            raise InputError(f"no such configuration file for ssh: {config}")
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
        command: Sequence[str],
        send: Iterable[bytes] = (),
        *,
        log: Log | None = None,
        show: Log | None = None,
        keep_stdin: bool = False,
        advice: str = "try again",
    ) -> Finished:
        """Run a program on the device and wait for it.

        Args:
            command: Program and its arguments, which are quoted for the remote shell.
            send: Written to its stdin.
            log: Called with each line on stderr as it arrives, in a thread.
            show: Called with each line on stdout as it arrives, in another thread.
            keep_stdin: Keep its stdin open until the program ends, so that the program notices a cut connection.
            advice: Added to the error message if the connection is cut.

        Returns:
            The exit status and the output.

        Raises:
            DeviceError: The connection was cut.
        """
        out: list[str] = []
        errors: list[str] = []
        with _Process([*self._command("-o", "ControlMaster=no"), shlex.join(command)]) as process:
            listeners = [
                threading.Thread(target=_listen, args=arguments, daemon=True)
                for arguments in ((process.stdout, out, show), (process.stderr, errors, log))
            ]
            for listener in listeners:
                listener.start()
            _feed(process, send, keep_stdin=keep_stdin)
            for listener in listeners:
                listener.join()
            status = process.wait()
        if status == _FAILED:
            raise DeviceError(f"the connection to {self.address} was cut: {advice}")
        return Finished(status, "".join(f"{line}\n" for line in out), tuple(errors))

    def close(self) -> None:
        """Close the connection and remove its folder."""
        if (self._folder / "socket").exists():
            command = self._command("-O", "exit")
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=CONNECT_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self) -> None:
        """Start a background process that keeps the connection open."""
        output = self._folder / "output"
        # A file and not a pipe, because the background process would keep a pipe open.
        with open(output, "wb") as file:
            command = self._command("-M", "-N", "-f", "-o", f"ControlPersist={_IDLE_S}")
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False).returncode
        if status:
            raise explain_failure(self.address, output.read_text(errors="replace").splitlines())

    def _command(self, *options: str) -> list[str]:
        address = self.address
        return [
            "ssh",
            *(["-F", str(self._config)] if self._config else []),
            *(argument for setting in _SETTINGS for argument in ("-o", setting)),
            *("-S", str(self._folder / "socket")),
            *(["-p", str(address.port)] if address.port else []),
            *(["-l", address.user] if address.user else []),
            *options,
            "--",
            address.host,
        ]


def _private_folder() -> Path:
    """Create a folder with a short path: the path of a socket is limited to about a hundred characters."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="edgecnn-", dir=usual if len(usual) < _MAX_FOLDER_LENGTH else "/tmp"))  # noqa: S108


class _Process(subprocess.Popen[bytes]):
    """A process with three pipes that is killed at the end of its `with` block."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.input = cast(IO[bytes], self.stdin)

    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(None, None, None)


def _feed(process: _Process, send: Iterable[bytes], *, keep_stdin: bool) -> None:
    """Write to the process; a program that stops reading reports the reason itself."""
    with suppress(BrokenPipeError):
        for chunk in send:
            process.input.write(chunk)
        process.input.flush()
    if keep_stdin:
        process.wait()
    with suppress(BrokenPipeError):
        process.input.close()


def _listen(stream: IO[bytes], lines: list[str], log: Log | None) -> None:
    for line in stream:
        text = line.decode(errors="replace").rstrip("\r\n")
        lines.append(text)
        if log:
            log(text)
