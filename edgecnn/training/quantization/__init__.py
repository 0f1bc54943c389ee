"""Quantization arithmetic: folding, calibration, fake quantization and bias correction."""
