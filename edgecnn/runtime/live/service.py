"""Status reports to a service manager, by the protocols of sd_notify(3) and sd_watchdog_enabled(3).

For a unit of `Type=notify`, systemd passes the address of a socket in `NOTIFY_SOCKET`. For a unit with `WatchdogSec=`,
it passes in `WATCHDOG_USEC` the time without a heartbeat after which it considers the program stuck. Without these
variables, everything here does nothing.
"""

from __future__ import annotations

import os
import socket
import time

from edgecnn.core.errors import InputError
from edgecnn.runtime.closeable import Closeable

_STATUS_EVERY_S = 1.0
_STOPPING_TIMEOUT_S = 1.0
"""Longest time to wait for a busy manager with the last message, which cannot be sent again later."""


class Service(Closeable):
    """Owns a socket to the service manager, and remembers what was reported. Use it in one thread.

    Its methods raise nothing and do not block a live loop. A message that the manager could not receive is sent again
    at the next call.
    """

    def __init__(self, address: str | None, watchdog_s: float | None) -> None:
        """Connect to a service manager.

        Args:
            address: Address in the format of `NOTIFY_SOCKET`; None without a manager.
            watchdog_s: Time without a heartbeat, in seconds, after which the manager considers the program stuck; None
                without a watchdog.
        """
        self._socket = _NotifySocket(address) if address else None
        self._heartbeat_every_s = None if watchdog_s is None or not address else watchdog_s / 2
        self._last_heartbeat_s = float("-inf")
        self._status = ""
        self._status_s = float("-inf")
        self._is_ready = False

    def report_ready(self) -> None:
        """Report, once, that the program has started. Call it after every result: a busy manager may miss the first."""
        if not self._is_ready and self._socket is not None:
            self._is_ready = self._socket.send("READY=1")

    def report_status(self, text: str) -> None:
        """Report the text that `systemctl status` shows, if it has changed and at most once per second."""
        now_s = time.monotonic()
        if self._socket is None or now_s - self._status_s < _STATUS_EVERY_S:
            return
        # Each line is a separate message, so a line break in the text could inject another message.
        text = " ".join(text.split())
        if text != self._status and self._socket.send(f"STATUS={text}"):
            self._status, self._status_s = text, now_s

    def send_heartbeat(self) -> None:
        """Send a heartbeat if half of the watchdog's time has passed since the last one. Call it in every round."""
        if self._heartbeat_every_s is None or self._socket is None:
            return
        now_s = time.monotonic()
        if now_s - self._last_heartbeat_s >= self._heartbeat_every_s and self._socket.send("WATCHDOG=1"):
            self._last_heartbeat_s = now_s

    def report_stopping(self) -> None:
        """Report that the program is about to end. With a busy manager, this call alone may take a second."""
        if self._socket is not None:
            self._socket.send("STOPPING=1", _STOPPING_TIMEOUT_S)

    def close(self) -> None:
        """Close the socket; later reports do nothing."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def open_service() -> Service:
    """Connect to the service manager in the environment, if there is one.

    The variables are removed from the environment, so that child processes cannot report on behalf of this program.

    Returns:
        The connection; without a manager, one that does nothing.

    Raises:
        InputError: `WATCHDOG_USEC` is not a time.
    """
    address = os.environ.pop("NOTIFY_SOCKET", None)
    watchdog_us = os.environ.pop("WATCHDOG_USEC", None)
    watched = os.environ.pop("WATCHDOG_PID", None)
    if watchdog_us is None or watched not in (None, str(os.getpid())):
        return Service(address, None)
    if not (watchdog_us.isascii() and watchdog_us.isdigit() and int(watchdog_us)):
        raise InputError(f"expected WATCHDOG_USEC as microseconds, got {watchdog_us!r}; let WatchdogSec= set it")
    return Service(address, int(watchdog_us) / 1e6)


class _NotifySocket(Closeable):
    """Owns a socket for datagrams to one address."""

    def __init__(self, address: str) -> None:
        # A leading "@" stands for the NUL byte of a name in the abstract namespace, outside the file system.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def send(self, message: str, timeout_s: float = 0) -> bool:
        """Return True if the message was delivered. The manager may be gone, or its queue may be full."""
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendto(message.encode(errors="replace"), self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()
