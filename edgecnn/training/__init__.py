"""The workstation side: backbones, training, quantization and export. TensorFlow lives here and nowhere else."""

import os

# Read when TensorFlow is first imported, so before any module of this package imports it.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
