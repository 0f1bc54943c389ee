"""MQTT discovery messages, which announce the cameras to Home Assistant.

The fields follow https://www.home-assistant.io/integrations/sensor.mqtt/: a sensor with `options` must have the device
class `enum`, and must not have a unit or a state class.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from edgecnn.core.labels import LabelMap
from edgecnn.runtime.decision import UNKNOWN_LABEL


def discovery_messages(
    prefix: str, cameras: Sequence[tuple[str, str]], labels: LabelMap, *, model: str, device_id: str
) -> dict[str, dict[str, Any]]:
    """Build the discovery messages: a label sensor and a score sensor for every camera.

    Args:
        prefix: Beginning of the topics of the cameras.
        cameras: Name and topic level of each camera. A level may contain ASCII letters, digits, `-` and `_`.
        labels: Labels of the model.
        model: Name of the model.
        device_id: Identifier made of the same characters. Home Assistant recognizes a sensor by this and the level.

    Returns:
        JSON objects by topic, which must be published as retained messages.
    """
    common = {
        "availability_topic": f"{prefix}/status",
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
        "device": _device(prefix, model, device_id),
        "origin": {"name": "edgecnn", "sw_version": version("edgecnn")},
    }
    messages: dict[str, dict[str, Any]] = {}
    for camera, level in cameras:
        state_topic = f"{prefix}/{level}/state"
        for kind, sensor in {
            "label": _label_sensor(camera, state_topic, labels),
            "score": _score_sensor(camera, state_topic),
        }.items():
            topic = f"homeassistant/sensor/{device_id}/{level}_{kind}/config"
            messages[topic] = {"unique_id": f"{device_id}_{level}_{kind}", **sensor, **common}
    return messages


def _label_sensor(camera: str, state_topic: str, labels: LabelMap) -> dict[str, Any]:
    return {
        "name": f"{camera} label",
        "state_topic": state_topic,
        "value_template": "{{ value_json.label }}",
        "json_attributes_topic": state_topic,
        "device_class": "enum",
        # Two classes may share a label, and a class may be named "unknown".
        "options": list(dict.fromkeys((*labels, UNKNOWN_LABEL))),
    }


def _score_sensor(camera: str, state_topic: str) -> dict[str, Any]:
    return {
        "name": f"{camera} score",
        "state_topic": state_topic,
        "value_template": "{{ (value_json.score * 100) | round(2) }}",
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "suggested_display_precision": 1,
    }


def _device(prefix: str, model: str, device_id: str) -> dict[str, Any]:
    return {
        "identifiers": [device_id],
        "name": prefix.replace("/", " "),
        "manufacturer": "edgecnn",
        "model": model,
        "sw_version": version("edgecnn"),
    }
