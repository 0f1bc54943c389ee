"""Checks for problems that keep a classifier from running on this device, and how to fix them. No TensorFlow.

A check returns findings and changes nothing. A package that it imports may be the one that is missing, so numpy, OpenCV
and the interpreter are each imported only inside the check that is about them.
"""
