"""Accuracy and latency of model files, comparison with a baseline, gates and reports. Imports no TensorFlow."""
