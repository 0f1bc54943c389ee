"""Putting a model on devices and keeping it running there, over ssh."""
