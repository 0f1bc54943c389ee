"""MQTT 5 output of results, events and states, with discovery messages for Home Assistant."""

from edgecnn.runtime.outputs.mqtt.publishing import open_mqtt

__all__ = ["open_mqtt"]
