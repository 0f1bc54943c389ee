"""Code that every part of edgecnn shares: labels, preprocessing, the model file, frames, folders of photos.

It needs numpy and OpenCV, and pydantic to validate what it reads from files.
"""
