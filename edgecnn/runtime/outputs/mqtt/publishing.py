"""Results, events and states for an MQTT 5 broker, which may be away for as long as it likes.

    PREFIX/status           `online`, or `offline` once the connection is gone              QoS 1, retained
    PREFIX/CAMERA/result    every result, as the JSON of `result_record`                    QoS 0, for a minute
    PREFIX/CAMERA/event     every event, as the JSON of `event_record`                      QoS 1
    PREFIX/CAMERA/state     what is shown when that changes, as the JSON of `state_record`  QoS 1, retained

Messages of QoS 1 are sent until the broker confirms them, so that one may come twice.
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
    """An output to the broker at `mqtt://[user[:password]@]host[:port][/topic/prefix]`, or `mqtts://` for TLS.

    Without a prefix it is `edgecnn/HOSTNAME`; runs at the same time need one each, or the end of one says `offline` of
    all. `password` goes before the one in the address. A broker that is down is no error: it is tried in the
    background, with waits as `reconnecting` says. With `home_assistant` every camera is announced to Home Assistant,
    with the `labels` it can show and the name of the `model`. Raises `InputError` for an address that cannot be used.
    """
    broker = parse_broker(address, password)
    levels = topic_levels(cameras)
    configs: Mapping[str, Any] = {}
    if home_assistant:
        named = tuple(zip(cameras, levels, strict=True))
        configs = discovery_messages(broker.prefix, named, labels, model=model, device_id=identifier(broker.prefix))
    discovery = [Message(topic, json.dumps(config), retain=True) for topic, config in configs.items()]
    will = Message(f"{broker.prefix}/status", "offline", retain=True)
    # A run that died and is started again has the same name, by which the broker lets go of its former connection. The
    # last will of that one would else come later, and say `offline` of a run that is online.
    client = client_for(broker, identifier(broker.prefix, *levels), will)
    retained = [will._replace(payload="online"), *discovery]
    return MqttOutput(broker, levels, Connection(broker.name, client, retained, will, reconnecting))


class MqttOutput:
    """Turns results and events into messages, and owns the connection that takes them."""

    def __init__(self, broker: Broker, levels: Sequence[str], connection: Connection) -> None:
        self.name = broker.name
        self._prefix = broker.prefix
        self._levels = levels
        self._shown: dict[str, str] = {}
        """The latest label by the topic of the state."""
        self._connection = connection

    def wants(self, result: Result) -> Want:
        return "figures"

    def take(self, item: Result | CameraEvent) -> None:
        """Events and states wait for the broker if need be; a result is lost unless there is a connection."""
        if isinstance(item, CameraEvent):
            record = event_record(item.event, item.source, item.at)
            self._connection.post(Message(self._topic(item.camera, "event"), json.dumps(record)))
        else:
            self._note_state(item)
            topic = self._topic(item.camera, "result")
            self._connection.send(Message(topic, json.dumps(result_record(item))))
        self._connection.raise_loss()

    def close(self) -> None:
        """Says `offline` and what still waits, as far as the broker takes it in time. Raises `ItemsLost`."""
        lost = self._connection.close()
        if lost:
            raise ItemsLost(f"{self.name}: {lost} events were not confirmed when the run ended; check the broker", lost)

    def _note_state(self, result: Result) -> None:
        topic, state = self._topic(result.camera, "state"), state_record(result)
        if self._shown.get(topic) != state["label"]:
            self._shown[topic] = state["label"]
            self._connection.post(Message(topic, json.dumps(state), retain=True))

    def _topic(self, camera: int, kind: str) -> str:
        return f"{self._prefix}/{self._levels[camera]}/{kind}"


def state_record(result: Result) -> dict[str, Any]:
    """The JSON object of what `result` shows, and since when (Unix seconds).

    Where decisions are made that is what is decided, `unknown` as long as nothing is; else it is the best class.
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
