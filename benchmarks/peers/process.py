"""A program that runs beside a benchmark: it reports that it is ready, then answers each line with a line."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgecnn.runtime.closeable import Closeable

_END_S = 10.0


class PeerFailed(Exception):
    """A peer could not be installed or started, or did not answer; the message gives the reason in one line."""


class Peer(Closeable):
    """Owns the process. Requests are lines, answers are lines of JSON objects.

    A peer ends when its stdin is closed, so no process is left behind if a benchmark is interrupted.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        """Start the process and wait until it is ready. Raise `PeerFailed` if it does not start."""
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - `close` closes it
        try:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise PeerFailed(f"{command[0]} does not start: {error.strerror}") from None
        try:
            self.ready = self._answer()
            """First line of the peer, about itself."""
        except BaseException:
            self.close()
            raise

    def ask(self, line: str) -> dict[str, Any]:
        """Send a line and wait for the answer. Raise `PeerFailed` if the peer ends instead."""
        assert self._process.stdin is not None
        # If the peer has already ended, `_answer` reports the reason.
        with suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process; kill it if it has not ended after 10 s."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            raise PeerFailed(
                last_line(self._errors.read()) or f"it ended with status {status} without an error message"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def last_line(text: str) -> str:
    """Return the last line that is not blank, which contains the reason in a traceback or in the output of pip."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
