"""Connection to a broker that may be unreachable for any length of time."""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgecnn.core.errors import WriteError
from edgecnn.runtime.outputs.mqtt.broker import Broker
from edgecnn.runtime.outputs.output import PATIENCE_S
from edgecnn.runtime.sources.surviving import Backoff

EVENTS_KEPT = 1000
"""Number of events that may wait for the broker; beyond it the oldest are dropped."""

_KEEPALIVE_S = 30
_RESULT_EXPIRY_S = 60
_IN_FLIGHT = 8
"""Number of unconfirmed messages at which sending pauses; some brokers allow only 10."""

_TICK_S = 0.1
"""Longest time until the thread notices that it must end."""

_STEADY_S = 30.0
"""Duration of a connection after which the delay between attempts starts small again."""

_ADVICE = {
    "Not authorized": "check user and password",
    "Bad user name or password": "check user and password",
    "Session taken over": "another run has the same topic prefix and cameras, stop one of them",
}


class Message(NamedTuple):
    """Message for a topic. A broker keeps the last retained message for future subscribers."""

    topic: str
    payload: str
    retain: bool = False


class Connection:
    """Owner of a client, and of the thread that connects and reconnects it and transfers its data.

    Messages are passed to the client while holding the lock, and the client acquires locks of its own. Callbacks run
    under those locks, so they must not acquire this lock: that could deadlock.
    """

    def __init__(
        self, name: str, client: Client, retained: Iterable[Message], will: Message, reconnecting: Backoff
    ) -> None:
        self._name = name
        self._will = will
        self._reconnecting = reconnecting
        self._client = client
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        # With this callback set, `publish` does not write but wakes the thread that calls `loop`.
        self._client.on_socket_register_write = lambda *_: None
        self._result_properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        self._result_properties.MessageExpiryInterval = _RESULT_EXPIRY_S
        self._last_sent: MQTTMessageInfo | None = None
        # These three are set by callbacks.
        self._confirmed: deque[int] = deque()
        self._reported_reason = ""
        self._loss = ""
        # The attributes below are accessed only while holding the lock of the condition.
        self._changed = threading.Condition()
        self._attempted = self._online = False
        self._problem = "no answer yet"
        self._retained = {message.topic: message for message in retained}
        self._due: dict[str, Message] = {}
        """Retained messages that have not been sent yet."""
        self._events: deque[Message] = deque(maxlen=EVENTS_KEPT)
        self._unconfirmed: dict[int, Message] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"connection {self._name}", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Send a message once.

        Raises:
            WriteError: If there is no connection, or the previous message has not been sent yet.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._attempted, PATIENCE_S)
            self._check_online()
        if self._last_sent is not None and not _is_sent(self._last_sent):
            raise WriteError(
                f"{self._name}: the broker accepted nothing for {PATIENCE_S:g} s; results are lost until it does"
            )
        with self._changed:
            self._check_online()
            self._last_sent = self._client.publish(
                message.topic, message.payload, qos=0, properties=self._result_properties
            )

    def post(self, message: Message) -> None:
        """Send a message until the broker confirms it, over this or a later connection; if retained, over every one."""
        with self._changed:
            if message.retain:
                self._retained[message.topic] = self._due[message.topic] = message
            else:
                if len(self._events) == EVENTS_KEPT:
                    self._loss = (
                        f"{self._name}: an event is lost because {EVENTS_KEPT} newer ones wait; check the broker"
                    )
                self._events.append(message)
            self._send_waiting()

    def raise_loss(self) -> None:
        """Report a loss.

        Raises:
            WriteError: If a message was lost since the last call.
        """
        loss, self._loss = self._loss, ""
        if loss:
            raise WriteError(loss)

    def close(self) -> int:
        """Publish the will, wait for unconfirmed messages and disconnect, all within `PATIENCE_S`.

        A connection attempt in progress ends within seconds, and the thread with it.

        Returns:
            Number of events that the broker has not confirmed.
        """
        deadline_s = time.monotonic() + PATIENCE_S - 2 * _TICK_S
        with self._changed:
            self._changed.wait_for(lambda: self._attempted, deadline_s - time.monotonic())
            self.post(self._will)
            self._changed.wait_for(lambda: not (self._online and self._has_pending()), deadline_s - time.monotonic())
            lost = len(self._events) + sum(not message.retain for message in self._unconfirmed.values())
        self._closing.set()
        self._thread.join(2 * _TICK_S)
        return lost

    def _run(self) -> None:
        failures, delay_s = 0, 0.0
        while not self._closing.wait(delay_s):
            started_s = time.monotonic()
            self._connect_and_serve()
            failures = 0 if time.monotonic() - started_s > _STEADY_S else failures + 1
            delay_s = self._reconnecting.delay_s(failures)
        self._disconnect()

    def _connect_and_serve(self) -> None:
        """Attempt a connection and use it until it ends."""
        self._reported_reason = ""
        try:
            self._client.reconnect()
            while not self._closing.is_set() and self._transfer():
                self._serve()
        except OSError as error:
            self._reported_reason = _reason(error)
        with self._changed:
            self._problem = self._reported_reason or (
                "connection lost" if self._online else "no MQTT 5 broker answered"
            )
            self._attempted, self._online = True, False
            self._changed.notify_all()

    def _transfer(self) -> bool:
        """Let the client read and write for up to a tick; return True if the connection is still open."""
        return self._client.loop(_TICK_S) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _serve(self) -> None:
        """Queue all retained messages once the broker has accepted the connection, and send the waiting messages."""
        with self._changed:
            if self._client.is_connected() and not self._online:
                self._attempted = self._online = True
                self._due = dict(self._retained)
            self._send_waiting()
            self._changed.notify_all()

    def _send_waiting(self) -> None:
        """Pass waiting messages to the client as long as the broker confirms them in time."""
        while self._confirmed:
            self._unconfirmed.pop(self._confirmed.popleft(), None)
        while self._online and (self._due or self._events) and len(self._unconfirmed) < _IN_FLIGHT:
            message = self._due.pop(next(iter(self._due))) if self._due else self._events.popleft()
            sent = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            self._unconfirmed[sent.mid] = message

    def _has_pending(self) -> bool:
        return bool(self._due or self._events or self._unconfirmed)

    def _check_online(self) -> None:
        if not self._online:
            advice = _ADVICE.get(self._problem, "retrying")
            raise WriteError(f"{self._name}: not connected: {self._problem}; {advice}")

    def _disconnect(self) -> None:
        """Disconnect in an orderly way if possible, so that the broker does not publish the last will."""
        self._client.disconnect()
        self._client.loop(0)
        # Deleting the client closes its sockets.
        del self._client

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._reported_reason = str(reason)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        # `_on_connect` has already recorded why a connection was refused; a dropped one carries no reason.
        if reason != "Unspecified error":
            self._reported_reason = self._reported_reason or str(reason)

    def _on_publish(self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties) -> None:
        self._confirmed.append(mid)
        if reason.is_failure:
            self._loss = (
                f"{self._name}: the broker refused a message: {reason}; check which topics this user may publish to"
            )


def client_for(broker: Broker, client_id: str, will: Message) -> Client:
    """Create a client that has not connected yet.

    Args:
        broker: Address and login.
        client_id: Identifier of the client.
        will: Message that the broker publishes when the connection is lost.

    Returns:
        The client.
    """
    client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    if broker.tls:
        client.tls_set_context(ssl.create_default_context())
    client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
    # Unconfirmed messages are resent from here, so the broker does not need to keep a session.
    client.connect_async(broker.host, broker.port, _KEEPALIVE_S, clean_start=True)
    return client


def _is_sent(sent: MQTTMessageInfo) -> bool:
    """Return True if the client has sent the message, waiting for it if necessary."""
    try:
        sent.wait_for_publish(PATIENCE_S)
        return sent.is_published()
    except RuntimeError:
        # The message was lost with its connection.
        return True


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message}, set SSL_CERT_FILE to a file with the certificate to trust"
    return " ".join((error.strerror or str(error)).split())
