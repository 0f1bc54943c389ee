"""MQTT 5 output of results, events and states; the broker may be unreachable for any length of time.

    PREFIX/status           `online`, or `offline` once the connection is lost            QoS 1, retained
    PREFIX/CAMERA/result    every result, as the JSON of `result_record`                  QoS 0, expires after a minute
    PREFIX/CAMERA/event     every event, as the JSON of `event_record`                    QoS 1
    PREFIX/CAMERA/state     the current label on change, as the JSON of `state_record`    QoS 1, retained

Messages with QoS 1 are sent until the broker confirms them, so a message may arrive twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from edgecnn.core.frame import Score
from edgecnn.core.labels import LabelMap
from edgecnn.runtime.decision import UNKNOWN, UNKNOWN_LABEL, event_record
from edgecnn.runtime.outputs.mqtt.broker import Broker, parse_broker
from edgecnn.runtime.outputs.mqtt.connection import Connection, Message, client_for
from edgecnn.runtime.outputs.mqtt.home_assistant import discovery_messages
from edgecnn.runtime.outputs.mqtt.topics import identifier, topic_levels
from edgecnn.runtime.outputs.output import ItemsLost, Want
from edgecnn.runtime.sinks import CameraEvent, Result, result_record
from edgecnn.runtime.sources.surviving import Backoff

RECONNECTING = Backoff(first_s=1.0, longest_s=30.0)


def open_mqtt(
    address: str,
    *,
    cameras: Sequence[str],
    labels: LabelMap,
    model: str,
    home_assistant: bool = False,
    password: str | None = None,
    reconnecting: Backoff = RECONNECTING,
) -> MqttOutput:
    """Open an output to a broker.

    An unreachable broker is not an error: connection attempts run in the background.

    Args:
        address: `mqtt://[user[:password]@]host[:port][/topic/prefix]`, or `mqtts://` for TLS. The default prefix is
            `edgecnn/HOSTNAME`. Concurrent runs need different prefixes; otherwise the end of one publishes `offline`
            for all of them.
        cameras: Names of the cameras.
        labels: Labels of the model, which Home Assistant needs in advance.
        model: Name of the model, for Home Assistant.
        home_assistant: Announce every camera to Home Assistant.
        password: Password that overrides the one in the address.
        reconnecting: Delays between connection attempts.

    Returns:
        The output.

    Raises:
        InputError: If the address is invalid.
    """
    broker = parse_broker(address, password)
    levels = topic_levels(cameras)
    configs: Mapping[str, Any] = {}
    if home_assistant:
        camera_levels = tuple(zip(cameras, levels, strict=True))
        configs = discovery_messages(
            broker.prefix, camera_levels, labels, model=model, device_id=identifier(broker.prefix)
        )
    discovery = [Message(topic, json.dumps(config), retain=True) for topic, config in configs.items()]
    will = Message(f"{broker.prefix}/status", "offline", retain=True)
    # A run that is restarted after a crash has the same client identifier, which makes the broker drop the previous
    # connection. Otherwise the last will of that connection would arrive later and report the new run as `offline`.
    client = client_for(broker, identifier(broker.prefix, *levels), will)
    retained = [will._replace(payload="online"), *discovery]
    return MqttOutput(broker, levels, Connection(broker.name, client, retained, will, reconnecting))


class MqttOutput:
    """Converter of results and events into messages, and owner of the connection that publishes them."""

    def __init__(self, broker: Broker, levels: Sequence[str], connection: Connection) -> None:
        self.name = broker.name
        self._prefix = broker.prefix
        self._levels = levels
        self._shown: dict[str, str] = {}
        """Last published label by state topic."""
        self._connection = connection

    def wants(self, result: Result) -> Want:
        """Return "figures": no pixels are published."""
        return "figures"

    def take(self, item: Result | CameraEvent) -> None:
        """Publish an item. Events and states wait for the broker if necessary; results do not.

        Raises:
            WriteError: If there is no connection for a result, or an earlier message was lost.
        """
        if isinstance(item, CameraEvent):
            record = event_record(item.event, item.source, item.at)
            self._connection.post(Message(self._topic(item.camera, "event"), json.dumps(record)))
        else:
            self._publish_state(item)
            topic = self._topic(item.camera, "result")
            self._connection.send(Message(topic, json.dumps(result_record(item))))
        self._connection.raise_loss()

    def close(self) -> None:
        """Publish `offline` and the queued messages, as far as the broker accepts them in time.

        Raises:
            ItemsLost: If events were not confirmed.
        """
        lost = self._connection.close()
        if lost:
            raise ItemsLost(f"{self.name}: {lost} events were not confirmed when the run ended; check the broker", lost)

    def _publish_state(self, result: Result) -> None:
        topic, state = self._topic(result.camera, "state"), state_record(result)
        if self._shown.get(topic) != state["label"]:
            self._shown[topic] = state["label"]
            self._connection.post(Message(topic, json.dumps(state), retain=True))

    def _topic(self, camera: int, kind: str) -> str:
        return f"{self._prefix}/{self._levels[camera]}/{kind}"


def state_record(result: Result) -> dict[str, Any]:
    """Build the JSON object of the current state of a camera.

    Args:
        result: Latest result.

    Returns:
        Label, index and score of the current decision (`unknown` while there is none), or of the best class if no
        decisions are made, and `since`, the Unix time in seconds from which it applies.
    """
    frame, decision = result.frame, result.decision
    shown, since = result.prediction.best, frame.captured_at
    if decision is not None:
        shown = decision.current or Score(UNKNOWN_LABEL, UNKNOWN, decision.seen.score)
    if decision is not None and decision.since_ns is not None:
        since -= (frame.captured_ns - decision.since_ns) / 1e9
    return {
        "label": shown.label,
        "index": shown.index,
        "score": round(shown.score, 6),
        "since": round(since, 6),
    }
