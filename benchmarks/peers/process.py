"""A program that runs beside a benchmark: it says that it is ready, then answers each line with one of its own."""

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
    """A peer could not be installed or started, or did not answer; the message says why in a line."""


class Peer(Closeable):
    """Owns the process; both ways go lines, and every line of the peer's is a JSON object.

    It ends when its stdin does, so that none is left behind when a benchmark is broken off.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        """Starts it and waits until it is ready. Raises `PeerFailed`."""
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - `close` closes it
        try:
            self._process = subprocess.Popen(
                [str(word) for word in command],
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
            """What it told about itself."""
        except BaseException:
            self.close()
            raise

    def ask(self, line: str) -> dict[str, Any]:
        """Sends a line and waits for the answer. Raises `PeerFailed` when the peer ends instead."""
        assert self._process.stdin is not None
        # A peer that has ended already says why below.
        with suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process, by force if it does not end by itself within 10 s."""
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
            raise PeerFailed(last_line(self._errors.read()) or f"it ended with status {status} and said nothing")
        answer: dict[str, Any] = json.loads(line)
        return answer


def last_line(text: str) -> str:
    """The last line with something in it: what a traceback or pip comes down to."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
