"""Discovery messages, compared field by field with the format of Home Assistant's MQTT sensor."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.labels import LabelMap
from edgecnn.runtime.outputs.mqtt.home_assistant import discovery_messages
from edgecnn.runtime.outputs.mqtt.topics import topic_levels

LABELS = LabelMap(("cat", "dog"))
COMMON = {
    "availability_topic": "garden/pi/status",
    "payload_available": "online",
    "payload_not_available": "offline",
    "qos": 1,
    "device": {
        "identifiers": ["device1"],
        "name": "garden pi",
        "manufacturer": "edgecnn",
        "model": "pets-int8",
        "sw_version": version("edgecnn"),
    },
    "origin": {"name": "edgecnn", "sw_version": version("edgecnn")},
}


def messages_for(cameras: Sequence[tuple[str, str]], labels: LabelMap = LABELS) -> dict[str, dict[str, Any]]:
    return discovery_messages("garden/pi", cameras, labels, model="pets-int8", device_id="device1")


def test_a_camera_has_a_label_sensor_and_a_score_sensor_of_one_device() -> None:
    assert messages_for([("Front door", "front-door")]) == {
        "homeassistant/sensor/device1/front-door_label/config": {
            "unique_id": "device1_front-door_label",
            "name": "Front door label",
            "state_topic": "garden/pi/front-door/state",
            "value_template": "{{ value_json.label }}",
            "json_attributes_topic": "garden/pi/front-door/state",
            "device_class": "enum",
            "options": ["cat", "dog", "unknown"],
            **COMMON,
        },
        "homeassistant/sensor/device1/front-door_score/config": {
            "unique_id": "device1_front-door_score",
            "name": "Front door score",
            "state_topic": "garden/pi/front-door/state",
            "value_template": "{{ (value_json.score * 100) | round(2) }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            **COMMON,
        },
    }


def test_the_options_contain_no_duplicate_labels() -> None:
    labels = LabelMap(("crane", "unknown", "crane"))
    (label_sensor, _) = messages_for([("a", "a")], labels).values()
    assert label_sensor["options"] == ["crane", "unknown"]


@given(st.lists(st.text(max_size=20), max_size=6))
def test_cameras_of_any_name_have_distinct_sensors(names: list[str]) -> None:
    messages = messages_for(list(zip(names, topic_levels(names), strict=True)))
    assert len(messages) == 2 * len(names)
    assert len({message["unique_id"] for message in messages.values()}) == len(messages)
    for topic in messages:
        assert re.fullmatch(r"homeassistant/sensor/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
    assert json.loads(json.dumps(messages)) == messages
