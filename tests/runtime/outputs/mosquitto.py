"""A real MQTT broker on 127.0.0.1 that can be killed, frozen and restarted, and a subscriber."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

# Debian installs it in a folder that is not on the PATH of an ordinary user.
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
WHY_NO_BROKER = "" if MOSQUITTO else "no MQTT broker: apt install mosquitto"
DEADLINE_S = 60


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline_s, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.01)


class Mosquitto:
    """Owner of a broker process and its port; its files are in `folder`.

    With `logins` (passwords by user), clients must log in; `rules` are the lines of an access control file. With a
    `certificate` (and its key, in one PEM file) the broker uses TLS.
    """

    def __init__(
        self, folder: Path, *, logins: Mapping[str, str] | None = None, rules: str = "", certificate: Path | None = None
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._logins = folder / "logins"
        self._config = folder / "mosquitto.conf"
        # When started by root, it would otherwise switch to a user who may not read these files.
        lines = ["user root", "persistence false", f"listener {self.port} 127.0.0.1"]
        lines.append(f"allow_anonymous {'true' if logins is None else 'false'}")
        if logins is not None:
            lines.append(f"password_file {self._logins}")
            self._write_logins(logins)
        if rules:
            (folder / "rules").write_text(rules)
            lines.append(f"acl_file {folder / 'rules'}")
        if certificate is not None:
            lines += [f"certfile {certificate}", f"keyfile {certificate}"]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Serve, on the same port as before."""
        assert MOSQUITTO is not None
        command = [MOSQUITTO, "-c", str(self._config)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._process = process
        wait_until(self._answers, "a broker that takes connections")

    def stop(self) -> None:
        """Shut down in an orderly way: the broker notifies its clients."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the process: connections stay open, but nothing is read from them."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen process."""
        self._send(signal.SIGCONT)

    def change_logins(self, logins: Mapping[str, str]) -> None:
        """Change the logins for future connections."""
        self._write_logins(logins)
        if self._process is not None:
            self._send(signal.SIGHUP)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "the broker exited"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(DEADLINE_S)
        self._process = None

    def _write_logins(self, logins: Mapping[str, str]) -> None:
        self._logins.write_text("".join(f"{user}:{password}\n" for user, password in logins.items()))
        subprocess.run(["mosquitto_passwd", "-U", str(self._logins)], check=True, capture_output=True)


class Received(NamedTuple):
    """A received message."""

    topic: str
    payload: str
    qos: int
    retain: bool
    """True if the broker retained it before the subscription."""
    expiry_s: int | None

    @property
    def record(self) -> dict[str, Any]:
        record = json.loads(self.payload)
        assert isinstance(record, dict)
        return record


class Listener:
    """Subscriber that records all messages in order, from its creation."""

    def __init__(self, port: int, *, login: tuple[str, str] | None = None, topics: str = "#") -> None:
        self.received: list[Received] = []
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.on_message = lambda client, userdata, message: self.received.append(_received(message))
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topics, qos=1)
        assert subscribed.wait(DEADLINE_S)

    def publish(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1)

    def on(self, topic: str) -> list[Received]:
        return [message for message in list(self.received) if message.topic == topic]

    def wait_for(self, topic: str, count: int = 1) -> list[Received]:
        """Wait for N messages on a topic and return them."""
        wait_until(lambda: len(self.on(topic)) >= count, f"{count} messages on {topic}, received {self.received[-3:]}")
        return self.on(topic)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # Deleting the client closes its descriptors.
        del self._client


def _received(message: MQTTMessage) -> Received:
    expiry_s = getattr(message.properties, "MessageExpiryInterval", None)
    return Received(message.topic, message.payload.decode(), message.qos, message.retain, expiry_s)
