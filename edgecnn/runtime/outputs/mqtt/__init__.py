"""MQTT 5: results, events and states for a broker, and Home Assistant's discovery."""

from edgecnn.runtime.outputs.mqtt.publishing import open_mqtt

__all__ = ["open_mqtt"]
