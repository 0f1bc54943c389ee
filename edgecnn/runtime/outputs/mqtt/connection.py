"""The connection to a broker that may be away for as long as it likes."""

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
"""So many may wait for the broker; of more, the newest."""

_KEEPALIVE_S = 30
_RESULT_EXPIRY_S = 60
_IN_FLIGHT = 8
"""Messages that the broker may leave unconfirmed before it is given more; some brokers allow 10."""

_TICK_S = 0.1
"""How long the thread may take to see that it should end."""

_STEADY_S = 30.0
"""After a connection that lasted this long, the wait before the next attempt starts small again."""

_ADVICE = {
    "Not authorized": "check user and password",
    "Bad user name or password": "check user and password",
    "Session taken over": "another run has the same topic prefix and cameras, stop one of them",
}


class Message(NamedTuple):
    """What to publish where; a retained one is what a topic says until the next."""

    topic: str
    payload: str
    retain: bool = False


class Connection:
    """Owns a client and the thread that connects it, time after time, and moves its bytes.

    The lock is held while the client is given a message, which it takes under locks of its own. It calls back under
    those: a callback that wanted the lock could wait for ever.
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
        # With this set, `publish` leaves all writing to the thread that calls `loop`, and wakes it.
        self._client.on_socket_register_write = lambda *_: None
        self._result_properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        self._result_properties.MessageExpiryInterval = _RESULT_EXPIRY_S
        self._last_sent: MQTTMessageInfo | None = None
        # Callbacks write these.
        self._confirmed: deque[int] = deque()
        self._said = ""
        self._loss = ""
        # Those below are touched under the condition's lock only.
        self._changed = threading.Condition()
        self._tried = self._online = False
        self._trouble = "no answer yet"
        self._retained = {message.topic: message for message in retained}
        self._due: dict[str, Message] = {}
        """The retained messages that were not sent yet."""
        self._events: deque[Message] = deque(maxlen=EVENTS_KEPT)
        self._unconfirmed: dict[int, Message] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"connection {self._name}", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Sends once. Raises `WriteError` without a connection, or when the message before is still in the way."""
        with self._changed:
            self._changed.wait_for(lambda: self._tried, PATIENCE_S)
            self._check_online()
        if self._last_sent is not None and not _has_left(self._last_sent):
            raise WriteError(
                f"{self._name}: the broker took nothing for {PATIENCE_S:g} s; results are lost until it does, check it"
            )
        with self._changed:
            self._check_online()
            self._last_sent = self._client.publish(
                message.topic, message.payload, qos=0, properties=self._result_properties
            )

    def post(self, message: Message) -> None:
        """Sends until the broker confirms it, over this connection or a later one; if retained, over each."""
        with self._changed:
            if message.retain:
                self._retained[message.topic] = self._due[message.topic] = message
            else:
                if len(self._events) == EVENTS_KEPT:
                    self._loss = f"{self._name}: an event is lost, {EVENTS_KEPT} newer ones wait; check the broker"
                self._events.append(message)
            self._pump()

    def raise_loss(self) -> None:
        """Raises `WriteError` if anything was lost since the last time."""
        loss, self._loss = self._loss, ""
        if loss:
            raise WriteError(loss)

    def close(self) -> int:
        """Publishes the will, waits for what is not confirmed, disconnects; all that for `PATIENCE_S` at most.

        Returns how many events the broker has not confirmed. An attempt to connect that is under way ends by itself,
        within seconds, and its thread with it.
        """
        deadline_s = time.monotonic() + PATIENCE_S - 2 * _TICK_S
        with self._changed:
            self._changed.wait_for(lambda: self._tried, deadline_s - time.monotonic())
            self.post(self._will)
            self._changed.wait_for(lambda: not (self._online and self._is_busy()), deadline_s - time.monotonic())
            lost = len(self._events) + sum(not message.retain for message in self._unconfirmed.values())
        self._closing.set()
        self._thread.join(2 * _TICK_S)
        return lost

    def _run(self) -> None:
        failures, delay_s = 0, 0.0
        while not self._closing.wait(delay_s):
            began_s = time.monotonic()
            self._converse()
            failures = 0 if time.monotonic() - began_s > _STEADY_S else failures + 1
            delay_s = self._reconnecting.delay_s(failures)
        self._hang_up()

    def _converse(self) -> None:
        """A connection, from the attempt to its end."""
        self._said = ""
        try:
            self._client.reconnect()
            while not self._closing.is_set() and self._move():
                self._serve()
        except OSError as error:
            self._said = _reason(error)
        with self._changed:
            self._trouble = self._said or ("connection lost" if self._online else "no MQTT 5 broker answered")
            self._tried, self._online = True, False
            self._changed.notify_all()

    def _move(self) -> bool:
        """Lets the client read and write, for a tick at most; whether there is a connection still."""
        return self._client.loop(_TICK_S) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _serve(self) -> None:
        """Greets the broker when it has accepted the connection, and gives it what waits."""
        with self._changed:
            if self._client.is_connected() and not self._online:
                self._tried = self._online = True
                self._due = dict(self._retained)
            self._pump()
            self._changed.notify_all()

    def _pump(self) -> None:
        """Gives the client what waits, as long as the broker keeps up with confirming."""
        while self._confirmed:
            self._unconfirmed.pop(self._confirmed.popleft(), None)
        while self._online and (self._due or self._events) and len(self._unconfirmed) < _IN_FLIGHT:
            message = self._due.pop(next(iter(self._due))) if self._due else self._events.popleft()
            sent = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            self._unconfirmed[sent.mid] = message

    def _is_busy(self) -> bool:
        return bool(self._due or self._events or self._unconfirmed)

    def _check_online(self) -> None:
        if not self._online:
            advice = _ADVICE.get(self._trouble, "it is tried again")
            raise WriteError(f"{self._name}: not connected: {self._trouble}; {advice}")

    def _hang_up(self) -> None:
        """In order if the broker listens, so that it needs no last will."""
        self._client.disconnect()
        self._client.loop(0)
        # With the client go its sockets.
        del self._client

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._said = str(reason)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        # Of a refusal, `_on_connect` knows more; of a cut, nobody knows anything.
        if reason != "Unspecified error":
            self._said = self._said or str(reason)

    def _on_publish(self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties) -> None:
        self._confirmed.append(mid)
        if reason.is_failure:
            self._loss = f"{self._name}: the broker refused a message: {reason}; check what it lets this user publish"


def client_for(broker: Broker, client_id: str, will: Message) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    if broker.tls:
        client.tls_set_context(ssl.create_default_context())
    client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
    # What is not confirmed is sent again from here; the broker need not remember anything.
    client.connect_async(broker.host, broker.port, _KEEPALIVE_S, clean_start=True)
    return client


def _has_left(sent: MQTTMessageInfo) -> bool:
    """Whether the client is rid of it by now, or soon."""
    try:
        sent.wait_for_publish(PATIENCE_S)
        return sent.is_published()
    except RuntimeError:
        # It was lost with its connection.
        return True


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message}, name the file of a certificate to trust in SSL_CERT_FILE"
    return " ".join((error.strerror or str(error)).split())
