"""Accuracy, calibration, ROC and latency statistics."""
