"""The workstation side: backbones, training, quantization and export. No other package imports TensorFlow."""

import os

# TensorFlow reads these when it is first imported, so they are set before any module of this package imports it.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
