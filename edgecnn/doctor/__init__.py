"""What stands in the way of a classifier on this device, and what to type about it. No TensorFlow.

A check looks and returns findings; it changes nothing. What it imports may itself be what is missing, so that neither
numpy nor OpenCV nor an interpreter is imported outside the check that is about it.
"""
