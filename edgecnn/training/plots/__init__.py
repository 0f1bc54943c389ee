"""Plots that a training run writes."""
