"""Telling a service manager how the program is doing, by the protocols of sd_notify(3) and sd_watchdog_enabled(3).

systemd names a socket in `NOTIFY_SOCKET` for a unit of `Type=notify`, and the time after which it takes the program for
stuck in `WATCHDOG_USEC` for one with `WatchdogSec=`. Without them everything here does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from edgecnn.core.errors import InputError
from edgecnn.runtime.closeable import Closeable

_STATUS_EVERY_S = 1.0
_PATIENCE_S = 1.0
"""How long to wait for a manager that is busy, with what is said only once."""


class Service(Closeable):
    """Owns a socket to the manager, and knows what was said when. For one thread.

    Its methods neither raise nor keep a live loop waiting: what the manager could not take is said at the next call.
    """

    def __init__(self, address: str | None, watchdog_s: float | None) -> None:
        """`address` as `NOTIFY_SOCKET` has it; `watchdog_s` is how long the program may give no sign of life."""
        self._speaker = _Speaker(address) if address else None
        self._beat_every_s = None if watchdog_s is None or not address else watchdog_s / 2
        self._beaten_s = float("-inf")
        self._status = ""
        self._status_s = float("-inf")
        self._is_ready = False

    def ready(self) -> None:
        """Says, once, that the program has started."""
        if not self._is_ready and self._speaker is not None:
            self._is_ready = self._speaker.say("READY=1")

    def status(self, text: str) -> None:
        """Says what `systemctl status` shows, when it has changed and once a second at most: call it all the time."""
        now_s = time.monotonic()
        if self._speaker is None or now_s - self._status_s < _STATUS_EVERY_S:
            return
        # A line is a message of its own, which a status must not smuggle in.
        text = " ".join(text.split())
        if text != self._status and self._speaker.say(f"STATUS={text}"):
            self._status, self._status_s = text, now_s

    def beat(self) -> None:
        """Gives a sign of life when half of the watchdog's time has passed since the last: for every turn of a loop."""
        if self._beat_every_s is None or self._speaker is None:
            return
        now_s = time.monotonic()
        if now_s - self._beaten_s >= self._beat_every_s and self._speaker.say("WATCHDOG=1"):
            self._beaten_s = now_s

    def stopping(self) -> None:
        """Says that the program is about to end; this alone may take a second, with a manager that is busy."""
        if self._speaker is not None:
            self._speaker.say("STOPPING=1", _PATIENCE_S)

    def close(self) -> None:
        """Nothing is said from then on."""
        if self._speaker is not None:
            self._speaker.close()
        self._speaker = None


def open_service() -> Service:
    """What the environment says of a service manager; its variables are removed, lest child processes speak for us.

    Raises `InputError` for a `WATCHDOG_USEC` that is no time.
    """
    address = os.environ.pop("NOTIFY_SOCKET", None)
    watchdog_us = os.environ.pop("WATCHDOG_USEC", None)
    watched = os.environ.pop("WATCHDOG_PID", None)
    if watchdog_us is None or watched not in (None, str(os.getpid())):
        return Service(address, None)
    if not (watchdog_us.isascii() and watchdog_us.isdigit() and int(watchdog_us)):
        raise InputError(f"expected WATCHDOG_USEC as microseconds, got {watchdog_us!r}: leave it to WatchdogSec=")
    return Service(address, int(watchdog_us) / 1e6)


def notify(message: str) -> None:
    """Sends `message`, such as `READY=1`, to the socket that `NOTIFY_SOCKET` names now, if any. Never raises."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with suppress(OSError), _Speaker(address) as speaker:
            speaker.say(message, _PATIENCE_S)


class _Speaker(Closeable):
    """Owns a socket for datagrams to one address."""

    def __init__(self, address: str) -> None:
        # A leading "@" stands for the NUL of a name that is not in the file system.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def say(self, message: str, patience_s: float = 0) -> bool:
        """Whether `message` got there: the manager may be gone, or have too much to read."""
        try:
            self._socket.settimeout(patience_s)
            self._socket.sendto(message.encode(errors="replace"), self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()
